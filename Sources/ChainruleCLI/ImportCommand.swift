import ArgumentParser
import Chainrule
import ChainruleExport
import Foundation

struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Convert a network from another program into a model file.",
    usage: "chainrule import <file> --save <file> [options]",
    discussion: """
      The ending of the file's name gives its format.

      .safetensors: the tensors of a multilayer perceptron, with the names that PyTorch gives a Sequential. 0.weight [units, \
      inputs] and 0.bias [units] are a dense layer; 1.weight [units] and 1.bias are a layerNorm, and with 1.running_mean \
      and 1.running_var a batchNorm. The numbers in the names give the order of the layers; use --layers for names without \
      numbers. The file has no activations, so --activations gives the activation after each layer.

        chainrule import mlp.safetensors --activations relu,relu,softmax --save model.safetensors
        chainrule import normalized.safetensors --activations identity,relu,softmax --save model.safetensors
        chainrule import net.safetensors --layers fc1,bn1,head --activations identity,relu,softmax --save m.safetensors

      .onnx: a dense network, as PyTorch, scikit-learn, Keras or Chainrule export it. A node that Chainrule has no layer for is \
      an error with the name of the node. Weights in a second file, such as mlp.onnx.data, are read from the same folder.

        chainrule import mlp.onnx --save model.safetensors
        chainrule import two-heads.onnx --output-name price --save price.safetensors
      """)

  @Argument(help: "The file to read.")
  var file: String

  @Option(help: .save)
  var save: String

  @Option(
    help: ArgumentHelp(
      ".safetensors: the activation after each layer, first to last, such as relu,relu,softmax.",
      valueName: "names"),
    transform: ActivationList.init(parsing:))
  var activations: ActivationList?

  @Option(
    help: ArgumentHelp(
      ".safetensors: the prefixes of the tensors' names, first layer to last, such as fc1,bn1,head. Default: the order of the "
        + "numbers in the names.",
      valueName: "names"))
  var layers: String?

  @Option(
    help: ArgumentHelp(
      ".onnx: the output to import, if the graph has several.", valueName: "name"))
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
      throw ValidationError("--output-name applies to .onnx files only")
    }
    guard let activations else {
      throw ValidationError(
        "--activations is missing: a .safetensors file has no activations; expected the activation after each layer, such as "
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
      throw ValidationError(
        "--activations applies to .safetensors files only; an .onnx file has its activations")
    }
    guard layers == nil else {
      throw ValidationError(
        "--layers applies to .safetensors files only; an .onnx file has the order of its layers")
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

/// The format of a file from another program, by the ending of its name.
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
