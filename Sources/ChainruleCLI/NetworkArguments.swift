import ArgumentParser
import Chainrule

/// The layers.
struct NetworkArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The widths of the hidden layers, such as 64,32, or none. By default those of the preset.",
      valueName: "widths"),
    transform: HiddenLayers.init(parsing:))
  var hidden: HiddenLayers?

  @Option(help: "The activation of the hidden layers. By default that of the preset.")
  var activation: Activation?

  @Option(
    help: "The activation of the output layer. By default softmax, sigmoid or identity, as the data need.")
  var outputActivation: Activation?

  @Option(
    help: """
      What is normalised before the activation of each hidden layer: each neuron's sums over the rows of a batch, or \
      each row's over the layer. By default nothing.
      """)
  var normalization: TrainingRecipe.Normalization?

  @Option(
    help: ArgumentHelp(
      "The probability with which a hidden layer's output is dropped in training. By default that of the preset.",
      valueName: "fraction"))
  var dropout: Double?

  @Flag(help: "Add its input to the output of each hidden layer that is as wide as the one before.")
  var residual = false

  @Flag(
    inversion: .prefixedNo, exclusivity: .exclusive,
    help: """
      Begin with a layer that gives the features mean 0 and standard deviation 1 over the rows trained on, or take them as \
      they are; the model takes them as they are in the data either way. By default such a layer, bounds and pieces.
      """)
  var standardize: Bool?

  @Flag(
    inversion: .prefixedNo, exclusivity: .exclusive,
    help: """
      Train on targets of mean 0 and standard deviation 1; the model predicts them as they are in the data. By default so \
      for a regression.
      """)
  var scaleTargets: Bool?

  @Flag(help: "Leave b out of every layer, which then computes f(W x).")
  var noBias = false

  @Option(
    help: ArgumentHelp(
      "How the weights are drawn: \(Initializer.names.joined(separator: ", ")); uniform, normal and "
        + "constant with a number, as uniform=0.1. "
        + "By default that of the preset.",
      valueName: "initializer"),
    transform: Initializer.init(parsing:))
  var initializer: Initializer?

  @Option(
    help: ArgumentHelp(
      "Begin with the network of this file, a model or a step file (JSON) as of chainrule explain, and train it further.",
      valueName: "file"),
    completion: .file())
  var initialWeights: String?

  @Option(
    name: .customLong("scalar"),
    help: "The type of the parameters. By default that of --initial-weights, or else float32.")
  var givenScalar: ScalarType?

  func validate() throws {
    try require("--activation", activation?.rawValue, "another: only the output layer may be softmax") {
      $0 != Activation.softmax.rawValue
    }
    try require("--dropout", dropout, "a fraction of at least 0 and below 1") { 0..<1 ~= $0 }
    if let widths = hidden?.widths, widths.isEmpty,
      let option = dropout != nil ? "--dropout" : normalization != nil ? "--normalization" : nil
    {
      throw ValidationError("\(option) is about hidden layers, and --hidden is none; expected at least one")
    }
    if let hidden { try checkResidual(widths: hidden.widths) }
  }

  private func checkResidual(widths: [Int]) throws(ValidationError) {
    if residual, !zip(widths, widths.dropFirst()).contains(where: ==) {
      throw ValidationError(
        "--residual is about hidden layers as wide as the one before; expected such widths of --hidden, "
          + "as 64,64")
    }
  }

  /// Puts what is given in the place of what `recipe` has.
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
