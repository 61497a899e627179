// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "chainrule",
  platforms: [.macOS(.v15), .iOS(.v18)],
  targets: [
    .systemLibrary(
      name: "CGSL", path: "Sources/CGSL", pkgConfig: "gsl",
      providers: [.apt(["libgsl-dev"]), .brew(["gsl"])]),
    .systemLibrary(
      name: "CJansson", path: "Sources/CJansson", pkgConfig: "jansson",
      providers: [.apt(["libjansson-dev"]), .brew(["jansson"])]),

    // The C core: Sources/CChainrule behind include/chainrule.h, the header every language shares.
    .target(
      name: "CChainrule", dependencies: ["CGSL", "CJansson"], path: ".",
      sources: ["Sources/CChainrule"], publicHeadersPath: "include"),
  ],
  cLanguageStandard: .c11
)
