// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "larger-than-memory",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "chainrule", path: "../..")],
  targets: [
    .executableTarget(
      name: "larger-than-memory", dependencies: [.product(name: "Chainrule", package: "chainrule")])
  ],
  swiftLanguageModes: [.v6]
)
