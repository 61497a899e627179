// swift-tools-version: 6.2
import PackageDescription

// A separate package, so that packages that depend on Chainrule never download the benchmark tools.
let package = Package(
  name: "chainrule-benchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(name: "chainrule", path: ".."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    // Without its traits, which count allocations and instructions and need more libraries.
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
  ],
  targets: [
    // Reads workloads.json and makes its data.
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
