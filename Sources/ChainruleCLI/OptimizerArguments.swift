import ArgumentParser
import Chainrule
import Foundation

/// The optimizer and its numbers.
struct OptimizerArguments: ParsableArguments {
  @Option(
    name: .customLong("optimizer"), help: "How gradients become updates. By default that of the preset.")
  var given: OptimizerName?

  @Option(help: ArgumentHelp("The size of the updates. By default the optimizer's own.", valueName: "number"))
  var learningRate: Double?

  @Option(help: ArgumentHelp("μ of sgd and rmsprop. (default: 0)", valueName: "number"))
  var momentum: Double?

  @Flag(help: "Take the momentum of sgd as Nesterov does.")
  var nesterov = false

  @Option(
    help: ArgumentHelp("β₁ of adam, adamw, adamax, nadam and lion. (default: 0.9)", valueName: "number"))
  var beta1: Double?

  @Option(
    help: ArgumentHelp(
      "β₂ of adam, adamw, adamax, nadam and lion. (default: 0.999, of lion 0.99)", valueName: "number"))
  var beta2: Double?

  @Option(
    help: ArgumentHelp(
      "ε, which keeps a quotient finite. By default the optimizer's own.", valueName: "number"))
  var epsilon: Double?

  @Flag(help: "Divide by the largest second moment so far, in adam and adamw.")
  var amsgrad = false

  @Option(help: ArgumentHelp("α of rmsprop. (default: 0.99)", valueName: "number"))
  var alpha: Double?

  @Flag(help: "Divide by the standard deviation of the gradient, in rmsprop.")
  var centered = false

  @Option(help: ArgumentHelp("ρ of adadelta. (default: 0.9)", valueName: "number"))
  var rho: Double?

  @Option(help: ArgumentHelp("ψ of nadam. (default: 0.004)", valueName: "number"))
  var momentumDecay: Double?

  @Option(help: ArgumentHelp("The factor of a shorter step of rprop. (default: 0.5)", valueName: "factor"))
  var etaMinus: Double?

  @Option(help: ArgumentHelp("The factor of a longer step of rprop. (default: 1.2)", valueName: "factor"))
  var etaPlus: Double?

  @Option(help: ArgumentHelp("The shortest step of rprop. (default: 1e-6)", valueName: "number"))
  var stepMin: Double?

  @Option(help: ArgumentHelp("The longest step of rprop. (default: 50)", valueName: "number"))
  var stepMax: Double?

  /// The numbers beside the learning rate that are given: the option, the name in a step file, and the value.
  private var numbers: [(option: String, key: String, value: any Encodable)] {
    let all: [(String, String, (any Encodable)?)] = [
      ("--momentum", "momentum", momentum), ("--nesterov", "nesterov", nesterov ? true : nil),
      ("--beta1", "beta1", beta1), ("--beta2", "beta2", beta2), ("--epsilon", "epsilon", epsilon),
      ("--amsgrad", "amsgrad", amsgrad ? true : nil), ("--alpha", "alpha", alpha),
      ("--centered", "centered", centered ? true : nil), ("--rho", "rho", rho),
      ("--momentum-decay", "momentumDecay", momentumDecay), ("--eta-minus", "etaMinus", etaMinus),
      ("--eta-plus", "etaPlus", etaPlus), ("--step-min", "stepMin", stepMin),
      ("--step-max", "stepMax", stepMax),
    ]
    return all.compactMap { option, key, value in value.map { (option, key, $0) } }
  }

  /// The options, and whether each is given.
  var options: [(String, Bool)] {
    [("--optimizer", given != nil), ("--learning-rate", learningRate != nil)]
      + numbers.map { ($0.option, true) }
  }

  func validate() throws {
    try require("--learning-rate", learningRate, "a number above 0") { $0 > 0 && $0.isFinite }
    for (option, _, value) in numbers {
      try require(option, value as? Double, "a finite number") { $0.isFinite }
    }
  }

  /// Puts what is given in the place of what `recipe` has; another optimizer has its own numbers.
  ///
  /// - Throws: `ValidationError` for a number that the optimizer does not have.
  func apply(to recipe: inout TrainingRecipe, _ regularization: RegularizationArguments) throws {
    let decay = regularization.weightDecay
    guard options.contains(where: \.1) || decay != nil || regularization.l1 != nil else { return }
    let usual =
      given.map { $0.name == recipe.optimizer.name } ?? true
      ? recipe.optimizer : try Optimizer(named: given?.name ?? recipe.optimizer.name)
    var settings = try settings(of: usual)
    let known = Set(settings.keys)
    for (option, key, value) in numbers {
      guard known.contains(key) else {
        throw ValidationError("\(option) is no number of \(usual.name)\(try others(with: key))")
      }
      settings[key] = value
    }
    if let learningRate { settings["learningRate"] = learningRate }
    if let decay { settings["weightDecay"] = decay }
    if let l1 = regularization.l1 { settings["l1"] = l1 }
    recipe.optimizer = try JSONDecoder().decode(
      Optimizer.self, from: JSONSerialization.data(withJSONObject: settings))
  }

  /// "; sgd and rmsprop have it"
  private func others(with key: String) throws -> String {
    let names = try Optimizer.names.filter { try settings(of: Optimizer(named: $0))[key] != nil }
    let list =
      names.count < 2
      ? names.joined() : names.dropLast().joined(separator: ", ") + " and " + names[names.count - 1]
    return names.isEmpty ? "" : "; \(list) \(names.count == 1 ? "has" : "have") one"
  }

  /// The numbers of an optimizer by their names in a step file.
  private func settings(of optimizer: Optimizer) throws -> [String: Any] {
    try JSONSerialization.jsonObject(with: JSONEncoder().encode(optimizer)) as? [String: Any] ?? [:]
  }
}
