// swift-tools-version: 6.2
import PackageDescription

// A separate package: its executable has libFuzzer's main function and needs the flags of scripts/fuzz.
let package = Package(
  name: "chainrule-fuzz",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "chainrule", path: "../..")],
  targets: [
    .executableTarget(
      name: "fuzz",
      dependencies: [
        .product(name: "Chainrule", package: "chainrule"),
        .product(name: "ChainruleExplain", package: "chainrule"),
        .product(name: "ChainruleExport", package: "chainrule"),
      ])
  ],
  swiftLanguageModes: [.v6]
)
