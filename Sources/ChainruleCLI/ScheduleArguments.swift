import ArgumentParser
import Chainrule

/// The learning-rate schedule.
struct ScheduleArguments: ParsableArguments {
  @Option(
    name: .customLong("schedule"),
    help: "The learning-rate schedule, a factor of --learning-rate for each epoch. Default: constant.")
  var givenRule: ScheduleName?

  @Option(
    name: .customLong("warm-up"),
    help: ArgumentHelp(
      "Epochs of linear warm-up before the schedule starts. Default: 0.",
      valueName: "epochs"))
  var givenWarmUp: Int?

  @Option(
    help: ArgumentHelp(
      "Length of the schedule in epochs: the step of step, the first period of cosineRestarts (both required), the whole of "
        + "cosine and oneCycle. Default for these two: all epochs after the warm-up.",
      valueName: "epochs"))
  var scheduleLength: Int?

  @Option(
    help: ArgumentHelp(
      "Factor of the learning rate, above 0: at each step of step, each plateau of plateau, each epoch of exponential. "
        + "Default: 0.1; required for exponential.",
      valueName: "number"))
  var scheduleFactor: Double?

  @Option(
    help: ArgumentHelp(
      "Epochs without a lower loss that plateau allows before it lowers the rate. Default: 10.",
      valueName: "epochs"))
  var schedulePatience: Int?

  @Option(
    help: ArgumentHelp(
      "Smallest learning rate of cosine, cosineRestarts and plateau, 0 or more. Default: 0.",
      valueName: "number"))
  var minimumRate: Double?

  var rule: ScheduleName { givenRule ?? ScheduleName(argument: "constant")! }
  var warmUp: Int { givenWarmUp ?? 0 }

  /// The options, and whether each is given.
  var given: [(String, Bool)] {
    [
      ("--schedule", givenRule != nil), ("--warm-up", givenWarmUp != nil),
      ("--schedule-length", scheduleLength != nil), ("--schedule-factor", scheduleFactor != nil),
      ("--schedule-patience", schedulePatience != nil), ("--minimum-rate", minimumRate != nil),
    ]
  }

  func validate() throws {
    try require("--warm-up", warmUp, "at least 0") { $0 >= 0 }
    try require("--schedule-length", scheduleLength, "at least 1") { $0 >= 1 }
    try require("--schedule-factor", scheduleFactor, "a number above 0") { $0 > 0 && $0.isFinite }
    try require("--schedule-patience", schedulePatience, "at least 0") { $0 >= 0 }
    try require("--minimum-rate", minimumRate, "a number of at least 0") { $0 >= 0 && $0.isFinite }
  }

  /// The schedule for this number of epochs.
  ///
  /// - Throws: `ValidationError` for a number that the rule does not have, and for a missing number.
  func schedule(epochs: Int) throws -> Schedule {
    let numbers = try Schedule(named: rule.name).rule.numbers
    for (number, isGiven) in [
      (Number.length, scheduleLength != nil), (.factor, scheduleFactor != nil),
      (.patience, schedulePatience != nil), (.minimum, minimumRate != nil),
    ] where isGiven && numbers[number] == nil {
      throw ValidationError("\(number.rawValue) does not apply to the schedule \(rule.name)")
    }
    if numbers[.length] == .given, scheduleLength == nil { throw missing(.length) }
    if numbers[.factor] == .given, scheduleFactor == nil { throw missing(.factor) }
    var length = scheduleLength
    if numbers[.length] == .toTheEnd, length == nil {
      guard warmUp < epochs else {
        throw ValidationError("--warm-up is \(warmUp); expected fewer than all \(counted(epochs, "epoch"))")
      }
      length = epochs - warmUp
    }
    return try Schedule(
      named: rule.name, length: length, factor: scheduleFactor, patience: schedulePatience,
      minimum: minimumRate, warmUp: warmUp)
  }

  private func missing(_ number: Number) -> ValidationError {
    ValidationError("--schedule \(rule.name) needs \(number.rawValue)")
  }
}

/// A number of a schedule, by its option.
private enum Number: String {
  case length = "--schedule-length"
  case factor = "--schedule-factor"
  case patience = "--schedule-patience"
  case minimum = "--minimum-rate"

  /// The value if the option is not given.
  enum Source { case given, toTheEnd, byDefault }
}

extension Schedule.Rule {
  /// The numbers that have an option.
  fileprivate var numbers: [Number: Number.Source] {
    switch self {
    case .constant: [:]
    case .step: [.length: .given, .factor: .byDefault]
    case .exponential: [.factor: .given]
    case .cosine: [.length: .toTheEnd, .minimum: .byDefault]
    case .cosineRestarts: [.length: .given, .minimum: .byDefault]
    case .oneCycle: [.length: .toTheEnd]
    case .plateau: [.factor: .byDefault, .patience: .byDefault, .minimum: .byDefault]
    }
  }
}
