import ArgumentParser
import Chainrule

/// Full-batch training.
struct FullBatchArguments: ParsableArguments {
  @Option(
    name: .customLong("full-batch"),
    help: ArgumentHelp(
      "Train on all rows at once by this method. For small networks and data sets, where it reaches a lower loss than "
        + "batches. levenbergMarquardt needs the loss halfSquaredError or meanSquaredError.",
      valueName: "method"))
  var method: FullBatchMethod?

  @Option(
    help: ArgumentHelp("Maximum number of iterations. Default: 1000.", valueName: "count"))
  var iterations: Int?

  @Option(
    help: ArgumentHelp(
      "Stop if the gradient relative to the loss is at most this. Default: 1e-10.", valueName: "number"))
  var gradientTolerance: Double?

  @Option(
    help: ArgumentHelp(
      "Stop if no parameter changes by more than this fraction of itself. Default: 1e-10.",
      valueName: "number"))
  var stepTolerance: Double?

  @Option(
    help: ArgumentHelp(
      "Stop if the loss falls by at most this fraction of itself. Default: 1e-12.", valueName: "number"))
  var lossTolerance: Double?

  @Option(
    help: ArgumentHelp(
      "Largest amount of memory for levenbergMarquardt, such as 500MB or 4GiB. Default: 1GiB.",
      valueName: "size"),
    transform: parseBytes)
  var memory: Int?

  @Option(
    help: ArgumentHelp("Number of past steps that lbfgs keeps. Default: 10.", valueName: "count"))
  var history: Int?

  func validate() throws {
    try require("--iterations", iterations, "at least 1") { $0 >= 1 }
    for (option, tolerance) in [
      ("--gradient-tolerance", gradientTolerance), ("--step-tolerance", stepTolerance),
      ("--loss-tolerance", lossTolerance),
    ] {
      try require(option, tolerance, "a number of at least 0") { $0 >= 0 && $0.isFinite }
    }
    try require("--history", history, "at least 1") { $0 >= 1 }

    let numbers = [
      ("--iterations", iterations != nil), ("--gradient-tolerance", gradientTolerance != nil),
      ("--step-tolerance", stepTolerance != nil), ("--loss-tolerance", lossTolerance != nil),
      ("--memory", memory != nil), ("--history", history != nil),
    ]
    guard let method else {
      if let (option, _) = numbers.first(where: \.1) { throw ValidationError("\(option) needs --full-batch") }
      return
    }
    if memory != nil, method.name != FullBatchMethod.levenbergMarquardt().name {
      throw ValidationError("--memory does not apply to \(method.name); only levenbergMarquardt has it")
    }
    if history != nil, method.name != FullBatchMethod.lbfgs().name {
      throw ValidationError("--history does not apply to \(method.name); only lbfgs has it")
    }
  }

  /// Refuses the options about batches and updates with full-batch training.
  func check(
    _ training: TrainingArguments, _ optimizer: OptimizerArguments, _ schedule: ScheduleArguments,
    _ regularization: RegularizationArguments,
    _ network: NetworkArguments
  ) throws(ValidationError) {
    guard method != nil else { return }
    let given =
      optimizer.options + training.ofBatches + schedule.given + regularization.given
      + [
        ("--dropout", network.dropout != nil), ("--normalization batch", network.normalization == .batch),
      ]
    guard let (option, _) = given.first(where: \.1) else { return }
    let instead = option == "--epochs" ? "; set --iterations instead" : ""
    throw ValidationError(
      "\(option) and --full-batch cannot be combined: full-batch training has one thread and no batches, schedules or "
        + "regularization\(instead)")
  }

  var iterationBound: Int { iterations ?? 1000 }

  /// The method with the numbers that are given; nil for training in batches.
  var methodWithNumbers: FullBatchMethod? {
    switch method {
    case .levenbergMarquardt(let usual): .levenbergMarquardt(memory: memory ?? usual)
    case .lbfgs(let usual): .lbfgs(history: history ?? usual)
    case let other: other
    }
  }

  var tolerances: Tolerances {
    var tolerances = Tolerances()
    if let gradientTolerance { tolerances.gradient = gradientTolerance }
    if let stepTolerance { tolerances.step = stepTolerance }
    if let lossTolerance { tolerances.loss = lossTolerance }
    return tolerances
  }
}

extension FullBatchMethod: ExpressibleByArgument {
  /// The method of that name, with its default numbers.
  public init?(argument: String) {
    let name = canonicalName(argument, among: Self.allValueStrings)
    guard let method = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = method
  }

  /// The names of all methods.
  public static var allValueStrings: [String] { allCases.map(\.name) }
}

/// "500MB", "4GiB", or bytes alone.
private func parseBytes(_ text: String) throws -> Int {
  let units = [
    ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("kB", 1000), ("KB", 1000),
    ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000), ("B", 1), ("", 1),
  ]
  let (unit, factor) = units.first { text.hasSuffix($0.0) }!
  guard let number = Double(text.dropLast(unit.count)), number > 0, number * Double(factor) < 0x1p62 else {
    throw ValidationError("expected a number of bytes above 0, such as 500MB or 4GiB")
  }
  return Int(number * Double(factor))
}

extension Minimum.Ending {
  /// Why a run ended, after its figures.
  var reason: String {
    switch self {
    case .iterations, .stopped: ""
    case .gradient: "; the gradient is within its tolerance"
    case .step: "; the step was within its tolerance"
    case .loss: "; the fall of the loss was within its tolerance"
    case .noProgress: "; no step made the loss smaller"
    }
  }
}
