import Foundation
import TestSupport
import Testing

@Suite("chainrule import")
struct ImportTests {
  private let place: Workplace

  init() throws {
    place = try Workplace()
    try place.write(
      safetensors(
        of: Float.self,
        [
          "net.0.weight": ([2, 2], [1, 2, 3, 4]), "net.0.bias": ([2], [0.5, -9]),
          "net.1.weight": ([2], [1, 2]),
          "net.1.bias": ([2], [0, 1]), "net.1.running_mean": ([2], [0, 0]),
          "net.1.running_var": ([2], [1, 1]),
          "net.3.weight": ([1, 2], [2, -1]),
        ]), to: "plain.safetensors")
    try place.write("old", to: "model.safetensors")
  }

  private func refused(
    _ arguments: String, _ status: Int32, sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> String {
    try place.refused(
      "import " + arguments, status, keeping: "model.safetensors", sourceLocation: sourceLocation)
  }

  @Test func `a plain file becomes a model, which predicts`() throws {
    // An encoding of an earlier model of that name is not this one's.
    try place.write(
      #"{"columns": [{}, {"missing": 5}], "missingTexts": [""], "unknown": "error"}"#,
      to: "model.safetensors.encoding.json")
    let run = try place.chainrule(
      "import", "plain.safetensors", "--activations", "identity,relu,tanh", "--save", "model.safetensors")
    #expect(run.status == 0)
    #expect(run.errors.isEmpty)
    #expect(
      run.output == """
        network  2 → 2 identity → batchNorm → relu → 1 tanh (no bias), float32
        model    saved in model.safetensors

        """)
    #expect(!place.exists("model.safetensors.encoding.json"))

    // z = [3.5, -2]; normalised and scaled, almost [3.5, -3]; tanh(2 · 3.5), and of [0.5, -9], tanh(1).
    let predictions = try place.chainrule("predict", "model.safetensors", "-", "--json", input: "1,1\n0,0\n")
      .objects
    let outputs = predictions.compactMap { ($0["outputs"] as? [Double])?.first }
    #expect(outputs.count == 2)
    for (output, argument) in zip(outputs, [7.0, 1]) { #expect(abs(output - tanh(argument)) < 1e-5) }
  }

  @Test func `a list gives the order of layers that have names`() throws {
    try place.write(
      safetensors(
        of: Float.self,
        [
          "fc1.weight": ([2, 2], [1, 2, 3, 4]), "bn1.weight": ([2], [1, 2]), "bn1.bias": ([2], [0, 1]),
          "head.weight": ([1, 2], [2, -1]),
        ]), to: "named.safetensors")
    let options = "named.safetensors --activations identity,relu,tanh --save model.safetensors"
    #expect(try refused(options, 65).contains("their order is not known"))
    #expect(
      try refused(options + " --layers fc1,bn1", 64)
        == "Error: --layers, --activations: 3 activations; expected 2, one for each layer listed")
    #expect(
      try refused(options + " --layers fc1,bn,head", 64).hasPrefix(
        "Error: --layers, --activations: layer \"bn\" has no tensor in the file; expected one such as bn.weight;"
      ))
    let run = try place.chainrule(
      "import", "named.safetensors", "--layers", "fc1,bn1,head", "--activations", "identity,relu,tanh",
      "--save",
      "model.safetensors")
    #expect(run.status == 0)
    #expect(
      run.output.hasPrefix("network  2 → 2 identity (no bias) → layerNorm → relu → 1 tanh (no bias), float32")
    )
  }

  @Test func `wrong usage exits 64`() throws {
    let save = "--save model.safetensors"
    #expect(
      try refused("plain.safetensors --activations relu", 64)
        == "Error: Missing expected argument '--save <file>'")
    #expect(
      try refused("plain.pt \(save)", 64)
        == "Error: <file> is plain.pt; expected a name that ends in .safetensors or .onnx")
    #expect(
      try refused("plain.safetensors \(save)", 64)
        == "Error: --activations is missing: a .safetensors file has no activations; "
        + "expected the activation after each layer, such as relu,relu,softmax")
    #expect(
      try refused("plain.safetensors --activations relo,relu,tanh \(save)", 64)
        .hasPrefix(
          "Error: The value 'relo,relu,tanh' is invalid for '--activations <names>': no activation is named"))
    #expect(
      try refused("plain.safetensors --activations relu,tanh \(save)", 64)
        == "Error: --activations: 2 activations; expected 3, one for each layer with weights in the file")
    #expect(
      try refused("plain.safetensors --activations softmax,relu,tanh \(save)", 64)
        .hasPrefix("Error: --activations: layer 1"))
  }

  @Test func `a file that makes no network exits 65`() throws {
    let options = "--activations identity,relu,tanh --save model.safetensors"
    try place.write(Array(try place.bytes("plain.safetensors").dropLast(4)), to: "short.safetensors")
    #expect(
      try refused("short.safetensors \(options)", 65).hasPrefix("chainrule: short.safetensors: tensor net."))
    try place.write("a,b\n", to: "table.safetensors")
    #expect(try refused("table.safetensors \(options)", 65).hasPrefix("chainrule: table.safetensors: "))

    try place.chainrule("train", "xor", "--epochs", "1", "--quiet", "--save", "own.safetensors")
    #expect(
      try refused("own.safetensors \(options)", 65)
        == "chainrule: own.safetensors: __metadata__.chainrule: this is a Chainrule model already; load it instead"
    )
  }

  @Test func `other failures exit 1`() throws {
    // No device: where the check is broken, what would be replaced lies in the test's own folder.
    #expect(mkfifo(place.url("pipe").path, 0o600) == 0)
    let options = "--activations identity,relu,tanh --save"
    #expect(
      try refused("none.safetensors \(options) model.safetensors", 1)
        == "chainrule: none.safetensors: cannot read: No such file or directory")
    #expect(
      try refused("plain.safetensors \(options) pipe", 1)
        == "chainrule: pipe: cannot write: no process reads from this pipe")
    #expect(
      try refused("plain.safetensors \(options) missing/m", 1).hasPrefix(
        "chainrule: missing/m: cannot open the folder: No such file or directory"))
  }
}
