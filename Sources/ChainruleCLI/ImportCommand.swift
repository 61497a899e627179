import ArgumentParser
import Chainrule
import Foundation

struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Make a model of a file that another program wrote.",
    usage: "chainrule import <file> --save <file> [options]",
    discussion: """
      The file's name says what it is.

      .safetensors: the tensors of a multilayer perceptron, as PyTorch saves a Sequential: weight [units, inputs] and \
      bias [units] of each layer, 0.weight, 0.bias, 2.weight, …, all behind one prefix or none. The activations are \
      not in such a file: --activations has that of each layer with weights [units, inputs]. A layer with weight [units] \
      alone is a layerNorm; with running_mean and running_var it is a batchNorm.

        chainrule import mlp.safetensors --activations relu,relu,softmax --save model.safetensors
      """)

  @Argument(help: "The file to read.")
  var file: String

  @Option(help: ArgumentHelp("Save the model in this file.", valueName: "file"))
  var save: String

  @Option(
    help: ArgumentHelp(
      "The activation of each dense layer, first to last, such as relu,relu,softmax.", valueName: "names"),
    transform: ActivationList.init(parsing:))
  var activations: ActivationList?

  func run() throws {
    let format = try ImportFormat(ofFileAt: file)
    try checkWritable(save, replacing: true)
    let model =
      switch format {
      case .safetensors: try importSafetensors()
      }
    switch model {
    case .float32(let model): try finish(model)
    case .float64(let model): try finish(model)
    }
  }

  private func importSafetensors() throws -> SavedModel {
    guard let activations else {
      throw ValidationError(
        "--activations is missing: a .safetensors file has none; expected that of each dense layer, such as "
          + "relu,relu,softmax")
    }
    return try SavedModel(safetensors: file, activations: activations.list)
  }

  private func finish<Scalar>(_ model: Model<Scalar>) throws {
    try model.save(to: save)
    try SavedEncoding(ofModelAt: save).replace(by: nil)
    let layers = model.layers.map(\.description).joined(separator: ", ")
    try Output.write(
      listing([
        ("network", "\(counted(model.inputs, "input")), \(layers)"), ("scalar", Scalar.scalarType.rawValue),
        ("model", "saved in \(save)"),
      ]))
  }
}

/// A form in which other programs write networks, known by how a file's name ends.
enum ImportFormat: String, CaseIterable {
  /// Tensors without an architecture.
  case safetensors

  init(ofFileAt path: String) throws(ValidationError) {
    guard let format = Self(rawValue: URL(fileURLWithPath: path).pathExtension.lowercased()) else {
      let known = Self.allCases.map { ".\($0.rawValue)" }.joined(separator: " or ")
      throw ValidationError("<file> is \(path); expected a name that ends in \(known)")
    }
    self = format
  }
}
