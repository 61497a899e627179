import Foundation
import Testing

@Suite("chainrule export --to onnx and import")
struct ONNXCommandTests {
  private let place: Workplace

  init() throws {
    place = try Workplace()
    try place.chainrule("train", "iris", "--epochs", "5", "--save", "iris.safetensors", "--quiet")
  }

  @Test func `a model goes out and comes back as it was`() throws {
    let out = try place.chainrule("export", "iris.safetensors", "--to", "onnx", "--output", "iris.onnx")
    #expect(out.status == 0 && out.output.isEmpty && out.errors.isEmpty)
    let back = try place.chainrule("import", "iris.onnx", "--save", "again.safetensors")
    #expect(back.status == 0 && back.output.contains("again.safetensors"))
    let (first, second) = (
      try place.chainrule("predict", "iris.safetensors", "iris"),
      try place.chainrule("predict", "again.safetensors", "iris")
    )
    #expect(first.status == 0 && first.output == second.output)
  }

  @Test func `without a file it goes to standard output`() throws {
    try place.chainrule("export", "iris.safetensors", "--to", "onnx", "--output", "iris.onnx")
    try place.write("", to: "out")
    let out = try FileHandle(forWritingTo: place.url("out"))
    let run = try place.start(["export", "iris.safetensors", "--to", "onnx"], output: out).wait()
    #expect(run.status == 0)
    #expect(try place.bytes("out") == place.bytes("iris.onnx"))
  }

  @Test func `a file that is no dense network is bad data, by the node`() throws {
    try place.write([0x3A, 0x00], to: "empty.onnx")
    let run = try place.chainrule("import", "empty.onnx", "--save", "model.safetensors")
    #expect(run.status == 65)
    #expect(run.errors == "chainrule: empty.onnx: there is no graph in this file\n")
    #expect(!place.exists("model.safetensors"))
  }

  @Test func `what belongs to another format is wrong usage`() throws {
    let named = try place.chainrule("export", "iris.safetensors", "--to", "onnx", "--name", "f")
    #expect(named.status == 64)
    #expect(named.errors.hasPrefix("Error: --name needs --to c\n"))
    let activated = try place.chainrule(
      "import", "x.onnx", "--activations", "relu", "--save", "m.safetensors")
    #expect(activated.status == 64)
    #expect(
      activated.errors.hasPrefix(
        "Error: --activations applies to .safetensors files only; an .onnx file has its activations\n"))
    let listed = try place.chainrule("import", "x.onnx", "--layers", "fc1", "--save", "m.safetensors")
    #expect(listed.status == 64)
    #expect(
      listed.errors.hasPrefix(
        "Error: --layers applies to .safetensors files only; an .onnx file has the order of its layers\n"))
    let chosen = try place.chainrule(
      "import", "iris.safetensors", "--activations", "relu", "--output-name", "y", "--save", "m.safetensors")
    #expect(chosen.status == 64)
    #expect(chosen.errors.hasPrefix("Error: --output-name applies to .onnx files only\n"))
  }
}
