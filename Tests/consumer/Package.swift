// swift-tools-version: 6.2
import PackageDescription

// A program that needs the product Chainrule alone: scripts/test checks what it resolves.
let package = Package(
  name: "consumer",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "chainrule", path: "../..", traits: [])],
  targets: [
    .executableTarget(name: "consumer", dependencies: [.product(name: "Chainrule", package: "chainrule")])
  ]
)
