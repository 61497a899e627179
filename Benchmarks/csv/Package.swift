// swift-tools-version: 6.2
import PackageDescription

// A separate package, so that only this comparison downloads SwiftCSV.
let package = Package(
  name: "csv",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(name: "chainrule", path: "../.."),
    .package(url: "https://github.com/swiftcsv/SwiftCSV", exact: "0.10.0"),
  ],
  targets: [
    .executableTarget(
      name: "csv",
      dependencies: [
        .product(name: "Chainrule", package: "chainrule"),
        .product(name: "SwiftCSV", package: "SwiftCSV"),
      ])
  ],
  swiftLanguageModes: [.v6]
)
