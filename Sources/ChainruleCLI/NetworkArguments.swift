import ArgumentParser
import Chainrule

/// The network: its layers, scaling and initial parameters.
struct NetworkArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The units of each hidden layer, first to last, such as 64,32; or none. Default: as the preset says.",
      valueName: "widths"),
    transform: HiddenLayers.init(parsing:))
  var hidden: HiddenLayers?

  @Option(help: "The activation of the hidden layers. Default: as the preset says.")
  var activation: Activation?

  @Option(
    help:
      "The activation of the output layer. Default: softmax for classes, sigmoid for labels, identity for numbers."
  )
  var outputActivation: Activation?

  @Option(
    help: """
      Normalize z before the activation of each hidden layer: batch normalizes each unit over the rows of a batch, layer \
      normalizes each row over the units. Default: neither.
      """)
  var normalization: TrainingRecipe.Normalization?

  @Option(
    help: ArgumentHelp(
      "Dropout after each hidden layer: the probability that an output is set to 0 in training, 0 or more and less than 1. "
        + "Default: as the preset says.",
      valueName: "fraction"))
  var dropout: Double?

  @Flag(help: "Add a skip connection around each hidden layer that has as many units as the layer before it.")
  var residual = false

  @Flag(
    inversion: .prefixedNo, exclusivity: .exclusive,
    help: """
      Scale the features to mean 0 and standard deviation 1 over the training rows, or leave them unscaled. The scaling is a \
      layer of the model, which takes unscaled data. Default: as the preset says; recommended also splits each number into \
      pieces if there are 500 rows or more.
      """)
  var standardize: Bool?

  @Flag(
    inversion: .prefixedNo, exclusivity: .exclusive,
    help: """
      Scale the targets to mean 0 and standard deviation 1 for training. The model predicts unscaled targets. Default: yes \
      for a regression with the recommended preset.
      """)
  var scaleTargets: Bool?

  @Flag(help: "Use layers without bias: a = f(W x).")
  var noBias = false

  @Option(
    help: ArgumentHelp(
      "The distribution of the initial weights: \(Initializer.names.joined(separator: ", ")). uniform, normal and "
        + "constant need a number, as in uniform=0.1. Default: as the preset says.",
      valueName: "initializer"),
    transform: Initializer.init(parsing:))
  var initializer: Initializer?

  @Option(
    help: ArgumentHelp(
      "Start from the network in this file and train it further: a model, or a step file (JSON) as \"chainrule explain\" "
        + "reads it.",
      valueName: "file"),
    completion: .file())
  var initialWeights: String?

  @Option(
    name: .customLong("scalar"),
    help: "The type of the parameters. Default: the type in --initial-weights, otherwise float32.")
  var givenScalar: ScalarType?

  func validate() throws {
    try require(
      "--activation", activation?.rawValue, "another activation: only the output layer may be softmax"
    ) {
      $0 != Activation.softmax.rawValue
    }
    try require("--dropout", dropout, "a fraction of at least 0 and below 1") { 0..<1 ~= $0 }
    if let widths = hidden?.widths, widths.isEmpty,
      let option = dropout != nil ? "--dropout" : normalization != nil ? "--normalization" : nil
    {
      throw ValidationError(
        "\(option) applies to hidden layers, but --hidden is none; expected at least one hidden layer")
    }
    if let hidden { try checkResidual(widths: hidden.widths) }
  }

  private func checkResidual(widths: [Int]) throws(ValidationError) {
    if residual, !zip(widths, widths.dropFirst()).contains(where: ==) {
      throw ValidationError(
        "--residual needs a hidden layer with as many units as the hidden layer before it; expected for example "
          + "--hidden 64,64")
    }
  }

  /// Replaces the settings of `recipe` that have an option here.
  func apply(to recipe: inout TrainingRecipe) throws(ValidationError) {
    if let hidden { recipe.hidden = hidden.widths }
    try checkResidual(widths: recipe.hidden)
    if let activation { recipe.activation = activation }
    if let normalization { recipe.normalization = normalization }
    if let dropout { recipe.dropout = dropout }
    if residual { recipe.isResidual = true }
    if noBias { recipe.hasBias = false }
    if let initializer { recipe.weightsInitializer = initializer }
    if let standardize { recipe.featureScaling = standardize ? .standardize : .none }
    if let scaleTargets { recipe.scalesTargets = scaleTargets }
  }
}
