import ArgumentParser
import Chainrule
import ChainruleExport
import Foundation

struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Make a model of a file that another program wrote.",
    usage: "chainrule import <file> --save <file> [options]",
    discussion: """
      The file's name says what it is.

      .safetensors: the tensors of a multilayer perceptron, as PyTorch names those of a Sequential. 0.weight [units, \
      inputs] and 0.bias [units] are a dense layer, 1.weight [units] and 1.bias a layerNorm, these with 1.running_mean \
      and 1.running_var a batchNorm. Prefixes such as net.0 differ in their numbers alone, which give the order; \
      --layers lists others in their order. The activations are not in such a file: --activations says what follows \
      each of these layers.

        chainrule import mlp.safetensors --activations relu,relu,softmax --save model.safetensors
        chainrule import normalized.safetensors --activations identity,relu,softmax --save model.safetensors
        chainrule import net.safetensors --layers fc1,bn1,head --activations identity,relu,softmax --save m.safetensors

      .onnx: a dense network, as PyTorch, scikit-learn, Keras or Chainrule export it. A part that no layer of Chainrule \
      does is refused by name. Weights in another file, such as mlp.onnx.data, are read from the same folder.

        chainrule import mlp.onnx --save model.safetensors
        chainrule import two-heads.onnx --output-name price --save price.safetensors
      """)

  @Argument(help: "The file to read.")
  var file: String

  @Option(help: ArgumentHelp("Save the model in this file.", valueName: "file"))
  var save: String

  @Option(
    help: ArgumentHelp(
      "Of .safetensors: the activation behind each layer, first to last, such as relu,relu,softmax.",
      valueName: "names"),
    transform: ActivationList.init(parsing:))
  var activations: ActivationList?

  @Option(
    help: ArgumentHelp(
      "Of .safetensors: the prefixes of the layers' tensors, first to last, such as fc1,bn1,head. Default: by their numbers.",
      valueName: "names"))
  var layers: String?

  @Option(
    help: ArgumentHelp(
      "Of .onnx: the output to take, where the graph has several.", valueName: "name"))
  var outputName: String?

  func run() throws {
    let format = try ImportFormat(ofFileAt: file)
    try checkFiles(reading: ["<file>": file], writing: ["--save": save])
    let model =
      switch format {
      case .safetensors: try importSafetensors()
      case .onnx: try importONNX()
      }
    switch model {
    case .float32(let model): try finish(model)
    case .float64(let model): try finish(model)
    }
  }

  private func importSafetensors() throws -> SavedModel {
    guard outputName == nil else {
      throw ValidationError("--output-name is there; it names an output of an .onnx file")
    }
    guard let activations else {
      throw ValidationError(
        "--activations is missing: a .safetensors file has none; expected what follows each layer, such as "
          + "relu,relu,softmax")
    }
    let layers = layers?.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    return try asUsage(of: layers == nil ? "--activations" : "--layers, --activations") {
      () throws(ChainruleError) in
      try SavedModel(safetensors: file, layers: layers, activations: activations.list)
    }
  }

  private func importONNX() throws -> SavedModel {
    guard activations == nil else {
      throw ValidationError("--activations is there; a .onnx file has its own")
    }
    guard layers == nil else {
      throw ValidationError("--layers is there; a .onnx file has its own order")
    }
    return try SavedModel(onnx: file, output: outputName)
  }

  private func finish<Scalar>(_ model: Model<Scalar>) throws {
    try model.save(to: save)
    try removeOldEncoding(ofModelAt: save)
    let layers = ["\(model.inputs)"] + model.layers.map(\.description)
    try Output.write(
      listing([
        ("network", "\(layers.joined(separator: " → ")), \(Scalar.scalarType.rawValue)"),
        ("model", "saved in \(save)"),
      ]))
  }
}

/// A form in which other programs write networks, known by how a file's name ends.
enum ImportFormat: String, CaseIterable {
  /// Tensors without an architecture.
  case safetensors
  /// A graph with its parameters.
  case onnx

  init(ofFileAt path: String) throws(ValidationError) {
    guard let format = Self(rawValue: URL(fileURLWithPath: path).pathExtension.lowercased()) else {
      let known = Self.allCases.map { ".\($0.rawValue)" }.joined(separator: " or ")
      throw ValidationError("<file> is \(path); expected a name that ends in \(known)")
    }
    self = format
  }
}
