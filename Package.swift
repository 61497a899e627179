// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "chainrule",
  platforms: [.macOS(.v15), .iOS(.v18)],
  products: [
    .library(name: "Chainrule", targets: ["Chainrule"]),
    .library(name: "ChainruleData", targets: ["ChainruleData"]),
    .library(name: "ChainruleReference", targets: ["ChainruleReference"]),
    .library(name: "ChainruleExplain", targets: ["ChainruleExplain"]),
    .library(name: "ChainruleExport", targets: ["ChainruleExport"]),
    .executable(name: "chainrule", targets: ["ChainruleCLI"]),
  ],
  // A package that needs the product Chainrule alone says `traits: []`, and resolves none of the
  // dependencies.
  traits: [
    .trait(name: "Export", description: "The product ChainruleExport; depends on swift-protobuf."),
    .trait(name: "Reference", description: "The product ChainruleReference; depends on swift-numerics."),
    .trait(
      name: "CommandLine", description: "The command chainrule; depends on swift-argument-parser.",
      enabledTraits: ["Export", "Reference"]),
    .default(enabledTraits: ["CommandLine"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-numerics", from: "1.1.1"),
    // Without its streams, which need all of Foundation.
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
  ],
  targets: [
    .systemLibrary(
      name: "CGSL", path: "Sources/CGSL", pkgConfig: "gsl",
      providers: [.apt(["libgsl-dev"]), .brew(["gsl"])]),
    .systemLibrary(
      name: "CJansson", path: "Sources/CJansson", pkgConfig: "jansson",
      providers: [.apt(["libjansson-dev"]), .brew(["jansson"])]),
    .systemLibrary(
      name: "CZlib", path: "Sources/CZlib", pkgConfig: "zlib",
      providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),

    // The C core: Sources/CChainrule behind include/chainrule.h, the header every language shares.
    .target(
      name: "CChainrule", dependencies: ["CGSL", "CJansson"], path: ".",
      sources: ["Sources/CChainrule"], publicHeadersPath: "include"),

    // The system's C library and the essential part of Foundation, whatever they are called.
    .target(name: "ChainrulePlatform"),
    // Data sets, and what every module needs; it needs no network and none of the C core.
    .target(name: "ChainruleData", dependencies: ["ChainrulePlatform", "CZlib"]),
    // Networks, training and metrics; `import Chainrule` brings ChainruleData.
    .target(name: "Chainrule", dependencies: ["ChainruleData", "ChainrulePlatform", "CChainrule"]),
    .target(
      name: "ChainruleReference",
      dependencies: [
        .product(name: "RealModule", package: "swift-numerics", condition: .when(traits: ["Reference"]))
      ]),
    .target(name: "ChainruleExplain", dependencies: ["Chainrule", "CJansson"]),
    .target(
      name: "ChainruleExport",
      dependencies: [
        "Chainrule", "ChainrulePlatform",
        .product(name: "SwiftProtobuf", package: "swift-protobuf", condition: .when(traits: ["Export"])),
      ],
      exclude: ["ONNX/Generated/onnx.proto"]),
    .executableTarget(
      name: "ChainruleCLI",
      dependencies: [
        "Chainrule", "ChainruleExplain", "ChainruleExport", "ChainruleReference",
        .product(
          name: "ArgumentParser", package: "swift-argument-parser", condition: .when(traits: ["CommandLine"])),
      ]),

    // Goldens and tolerances, shared by the tests.
    .target(name: "TestSupport", dependencies: ["ChainruleExplain"], path: "Tests/Support"),
    .testTarget(name: "CChainruleTests", dependencies: ["Chainrule", "ChainruleExplain", "TestSupport"]),
    .testTarget(name: "ChainruleTests", dependencies: ["Chainrule", "TestSupport"]),
    .testTarget(name: "ChainruleDataTests", dependencies: ["ChainruleData", "Chainrule", "TestSupport"]),
    .testTarget(
      name: "ChainruleReferenceTests",
      dependencies: ["ChainruleReference", "ChainruleExplain", "TestSupport"]),
    .testTarget(name: "ChainruleExplainTests", dependencies: ["ChainruleExplain", "TestSupport"]),
    .testTarget(
      name: "ChainruleExportTests",
      dependencies: [
        "ChainruleExport", "Chainrule", "TestSupport",
        .product(name: "SwiftProtobuf", package: "swift-protobuf", condition: .when(traits: ["Export"])),
      ]),
    .testTarget(
      name: "ChainruleCLITests",
      dependencies: ["ChainruleCLI", "Chainrule", "ChainruleReference", "TestSupport"]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c11
)
