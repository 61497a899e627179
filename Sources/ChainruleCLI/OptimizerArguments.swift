import ArgumentParser
import Chainrule

/// The optimizer and its hyper-parameters: an option for each, whose name, help and rules come from
/// `Optimizer.Hyperparameter`.
struct OptimizerArguments: ParsableArguments {
  @Option(
    name: .customLong("optimizer"),
    help: "The rule by which gradients update the parameters. Default: as the preset says.")
  var given: Optimizer.Kind?

  @Option(help: .of(.learningRate)) var learningRate: Double?
  @Option(help: .of(.momentum)) var momentum: Double?
  @Flag(help: .of(.nesterov)) var nesterov = false
  @Option(help: .of(.beta1)) var beta1: Double?
  @Option(help: .of(.beta2)) var beta2: Double?
  @Option(help: .of(.epsilon)) var epsilon: Double?
  @Flag(help: .of(.amsgrad)) var amsgrad = false
  @Option(help: .of(.alpha)) var alpha: Double?
  @Flag(help: .of(.centered)) var centered = false
  @Option(help: .of(.rho)) var rho: Double?
  @Option(help: .of(.momentumDecay)) var momentumDecay: Double?
  @Option(help: .of(.etaMinus)) var etaMinus: Double?
  @Option(help: .of(.etaPlus)) var etaPlus: Double?
  @Option(help: .of(.stepMin)) var stepMin: Double?
  @Option(help: .of(.stepMax)) var stepMax: Double?
  @Option(help: .of(.weightDecay)) var weightDecay: Double?
  @Option(help: .of(.l1)) var l1: Double?

  /// The number of the option of a hyper-parameter, if it is given.
  private func number(of hyperparameter: Optimizer.Hyperparameter) -> Double? {
    switch hyperparameter {
    case .learningRate: learningRate
    case .momentum: momentum
    case .nesterov: nesterov ? 1 : nil
    case .beta1: beta1
    case .beta2: beta2
    case .epsilon: epsilon
    case .amsgrad: amsgrad ? 1 : nil
    case .alpha: alpha
    case .centered: centered ? 1 : nil
    case .rho: rho
    case .momentumDecay: momentumDecay
    case .etaMinus: etaMinus
    case .etaPlus: etaPlus
    case .stepMin: stepMin
    case .stepMax: stepMax
    case .weightDecay: weightDecay
    case .l1: l1
    }
  }

  /// The hyper-parameters that are given, with their numbers.
  private var numbers: [(hyperparameter: Optimizer.Hyperparameter, number: Double)] {
    Optimizer.Hyperparameter.allCases.compactMap { hyperparameter in
      number(of: hyperparameter).map { (hyperparameter, $0) }
    }
  }

  /// The options, and whether each is given.
  var options: [(String, Bool)] {
    [("--optimizer", given != nil)] + numbers.map { ($0.hyperparameter.option, true) }
  }

  func validate() throws {
    try require("--learning-rate", learningRate, "a number above 0") { $0 > 0 && $0.isFinite }
    for (hyperparameter, number) in numbers {
      guard let range = hyperparameter.range else { continue }
      try require(hyperparameter.option, number, "\(range)") { range.contains($0) }
    }
  }

  /// Replaces the recipe's optimizer, or some of its numbers. Another optimizer begins with its own defaults.
  ///
  /// - Throws: `ValidationError` for a hyper-parameter that the optimizer does not have.
  func apply(to recipe: inout TrainingRecipe) throws {
    let kind = given ?? recipe.optimizer.kind
    for (hyperparameter, _) in numbers where !kind.hyperparameters.contains(hyperparameter) {
      throw ValidationError(hyperparameter.isNot(of: kind, named: hyperparameter.option))
    }
    if kind != recipe.optimizer.kind { recipe.optimizer = kind.default }
    try recipe.optimizer.set(Dictionary(uniqueKeysWithValues: numbers))
  }

  /// A few words for each regularization that is given: "L1 0.001".
  var regularization: [String] {
    [("weight decay", weightDecay), ("L1", l1)].compactMap { name, value in
      value.map { "\(name) \(short($0))" }
    }
  }
}

extension ArgumentHelp {
  /// "Decay of the first moment, β₁: 0 or more, and less than 1. For adam and lion. Default: 0.9."
  fileprivate static func of(_ hyperparameter: Optimizer.Hyperparameter) -> ArgumentHelp {
    let kinds = hyperparameter.kinds
    let owners = kinds == Optimizer.Kind.allCases ? "" : " For \(list(kinds.map(\.rawValue)))."
    if hyperparameter.isSwitch { return ArgumentHelp("\(hyperparameter.meaning).\(owners)") }
    let text =
      hyperparameter.meaning + (hyperparameter.symbol.map { ", \($0)" } ?? "")
      + (hyperparameter.range.map { ": \($0)" } ?? "")
    return ArgumentHelp("\(text).\(owners) Default: \(defaults(of: hyperparameter)).", valueName: "number")
  }

  /// "0.9", or the most frequent default and then the others: "0; 0.01 for adamw".
  private static func defaults(of hyperparameter: Optimizer.Hyperparameter) -> String {
    var groups: [(number: Double, kinds: [String])] = []
    for kind in hyperparameter.kinds {
      let number = kind.default[hyperparameter]!
      let index = groups.firstIndex { $0.number == number } ?? groups.endIndex
      if index == groups.endIndex { groups.append((number, [])) }
      groups[index].kinds.append(kind.rawValue)
    }
    let usual = groups.max { $0.kinds.count < $1.kinds.count }!
    let others = groups.filter { $0.number != usual.number }
    return ([short(usual.number)] + others.map { "\(short($0.number)) for \(list($0.kinds))" })
      .joined(separator: "; ")
  }
}
