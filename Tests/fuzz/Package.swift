// swift-tools-version: 6.2
import PackageDescription

// A package of its own: its executable is libFuzzer's, and needs the flags that scripts/fuzz gives.
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
