import Foundation
import Testing

@Suite("chainrule export")
struct ExportTests {
  private let place: Workplace

  init() throws {
    place = try Workplace()
    try place.chainrule(
      "train", "iris", "--epochs", "1", "--hidden", "4", "--quiet", "--save", "iris.safetensors")
    try place.write("old", to: "iris.c")
  }

  private func refused(
    _ arguments: String, _ status: Int32, sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> String {
    try place.refused("export " + arguments, status, keeping: "iris.c", sourceLocation: sourceLocation)
  }

  @Test func `C goes to standard output, or into a file`() throws {
    let shown = try place.chainrule("export", "iris.safetensors", "--to", "c")
    #expect(shown.status == 0)
    #expect(shown.errors.isEmpty)
    #expect(shown.output.hasPrefix("/* A neural network, written by Chainrule "))
    #expect(shown.output.contains("\nvoid predict(const float inputs[4], float outputs[3])\n{\n"))
    #expect(shown.output.contains("\n *   [2]  virginica\n"))

    let saved = try place.chainrule(
      "export", "iris.safetensors", "--to", "c", "--name", "classify", "--output", "iris.c")
    #expect(saved.status == 0)
    #expect(saved.output.isEmpty && saved.errors.isEmpty)
    #expect(
      try place.read("iris.c")
        == shown.output.replacing("predict(", with: "classify(").replacing("predict:", with: "classify:"))
  }

  @Test func `a header comes with the source, or alone`() throws {
    let arguments = ["export", "iris.safetensors", "--to", "c", "--name", "classify", "--header-file"]
    let shown = try place.chainrule(arguments + ["shown.h"])
    #expect(shown.status == 0)
    #expect(shown.output.contains("\nvoid classify(const float inputs[4], float outputs[3])\n{\n"))
    #expect(try place.chainrule(arguments + ["iris.h", "--output", "iris.c"]).output.isEmpty)
    #expect(try place.read("iris.c") == shown.output)
    #expect(try place.read("iris.h") == place.read("shown.h"))
    #expect(
      try place.read("iris.h").contains(
        "\n#ifndef CHAINRULE_CLASSIFY_H\n#define CHAINRULE_CLASSIFY_H\n\n#ifdef __cplusplus\nextern \"C\" {\n"
      ))
  }

  @Test func `wrong usage exits 64`() throws {
    #expect(
      try refused("iris.safetensors --to onnx --header-file iris.h --output iris.c", 64)
        .hasPrefix("Error: --header-file needs --to c"))
    #expect(
      try refused("iris.safetensors --to c --header-file iris.c --output ./iris.c", 64)
        .contains("are the same file; expected two files"))
    #expect(try refused("iris.safetensors --output iris.c", 64).contains("'--to <to>'"))
    #expect(try refused("iris.safetensors --to fortran --output iris.c", 64).contains("'fortran'"))
    #expect(
      try refused("iris.safetensors --to c --name int --output iris.c", 64)
        .hasPrefix("Error: --name: name is int; expected a C identifier"))
  }

  @Test func `a file that is no model exits 65`() throws {
    try place.write(Array(try place.bytes("iris.safetensors").dropLast(4)), to: "short")
    #expect(try refused("short --to c --output iris.c", 65).hasPrefix("chainrule: short: "))
  }

  @Test func `other failures exit 1`() throws {
    // No device: where the check is broken, what would be replaced lies in the test's own folder.
    #expect(mkfifo(place.url("pipe").path, 0o600) == 0)
    #expect(
      try refused("none --to c --output iris.c", 1)
        == "chainrule: none: cannot read: No such file or directory")
    #expect(
      try refused("iris.safetensors --to c --output missing/iris.c", 1).contains(
        "missing/iris.c: cannot open the folder: No such file"))
    #expect(
      try refused("iris.safetensors --to c --output pipe", 1)
        == "chainrule: pipe: cannot write: no process reads from this pipe")
  }
}
