// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that what depends on Chainrule never downloads the benchmark tools.
let package = Package(
  name: "chainrule-benchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(name: "chainrule", path: ".."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    // Without its traits: its counts of allocations and instructions need libraries that it would download.
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
  ],
  targets: [
    // workloads.json, and its data.
    .target(
      name: "Workloads",
      dependencies: [
        .product(name: "Chainrule", package: "chainrule"),
        .product(name: "ChainruleReference", package: "chainrule"),
      ]),
    .executableTarget(
      name: "ChainruleBenchmarks",
      dependencies: [
        "Workloads",
        .product(name: "Benchmark", package: "benchmark"),
        .product(name: "Chainrule", package: "chainrule"),
      ],
      path: "ChainruleBenchmarks",
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
    .executableTarget(
      name: "reference",
      dependencies: [
        "Workloads",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .executableTarget(
      name: "mnist",
      dependencies: [
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Chainrule", package: "chainrule"),
      ]),
  ],
  swiftLanguageModes: [.v6]
)
