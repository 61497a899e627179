import Foundation
import TestSupport
import Testing

@testable import Chainrule

@Suite struct `Every schedule of the catalogue` {
  /// Every rule, each with numbers of its own.
  static let schedules: [Schedule] = [
    Schedule(.constant, warmUp: 3, warmUpFactor: 0.25),
    Schedule(.step(length: 4, factor: 0.5), per: .step),
    Schedule(.exponential(factor: 0.75), warmUp: 2),
    Schedule(.cosine(length: 4, minimum: 0.25), per: .step, warmUp: 3, warmUpFactor: 0.5),
    Schedule(.cosineRestarts(length: 4, growth: 2, minimum: 0.25)),
    Schedule(.oneCycle(length: 4, rise: 0.25, divisor: 2, finalDivisor: 8)),
    Schedule(
      .plateau(factor: 0.5, patience: 4, threshold: .absolute(0.25), cooldown: 2, minimum: 0.125), warmUp: 1),
  ]
  /// The same rules with the defaults of their Swift cases; a length and a factor without one are 1 and 2.
  static let defaults: [Schedule] = [
    .constant, Schedule(.step(length: 2)), Schedule(.exponential(factor: 1)), Schedule(.cosine(length: 2)),
    Schedule(.cosineRestarts(length: 2)), Schedule(.oneCycle(length: 2)), Schedule(.plateau()),
  ]

  private func read(_ json: String) throws -> Schedule {
    try JSONDecoder().decode(Schedule.self, from: Data(json.utf8))
  }

  @Test func `is the core's of the same name`() {
    for schedule in Self.schedules + Self.defaults { #expect(Schedule(schedule.core) == schedule) }
    #expect(Self.schedules.map(\.name) == Schedule.names && Self.defaults.map(\.name) == Schedule.names)
    #expect(
      Schedule.names
        == ["constant", "step", "exponential", "cosine", "cosineRestarts", "oneCycle", "plateau"])
  }

  @Test func `has a formula of its own, in ASCII`() {
    let formulas = Self.defaults.map(\.formula)
    #expect(formulas.allSatisfy { !$0.isEmpty && $0.allSatisfy(\.isASCII) })
    #expect(Set(formulas).count == formulas.count)
    #expect(Schedule(.exponential(factor: 1)).formula == "rate factor^t")
  }

  @Test func `survives being written and read`() throws {
    let json = try JSONEncoder().encode(Self.schedules + Self.defaults)
    #expect(try JSONDecoder().decode([Schedule].self, from: json) == Self.schedules + Self.defaults)
  }

  @Test func `is read with what is left out by its default`() throws {
    for (name, schedule) in zip(Schedule.names, Self.defaults) {
      #expect(try read(#"{"type": "\#(name)", "length": 2, "factor": null}"#).name == name)
      guard case .exponential = schedule.rule else {
        #expect(try read(#"{"type": "\#(name)", "length": 2}"#) == schedule)
        continue
      }
      #expect(try read(#"{"type": "\#(name)", "factor": 1}"#) == schedule)
    }
    #expect(
      try read(#"{"type": "cosine", "length": 9, "unit": "step", "warmUp": 5, "warmUpFactor": 0.5}"#)
        == Schedule(.cosine(length: 9), per: .step, warmUp: 5, warmUpFactor: 0.5))
    #expect(
      throws: ChainruleError.invalidArgument(
        message: "no schedule is named \"linear\"; there are: constant, step, exponential, cosine, "
          + "cosineRestarts, oneCycle, plateau")
    ) { try read(#"{"type": "linear"}"#) }
    #expect(throws: DecodingError.self) { try read(#"{"length": 2}"#) }
    #expect(throws: DecodingError.self) { try read(#"{"type": "step", "length": 0.5}"#) }
    #expect(throws: DecodingError.self) { try read(#"{"type": "constant", "unit": "batch"}"#) }
  }
}

@Suite struct `A schedule` {
  /// A number out of its range, and what the error says of it.
  @Test(
    arguments: [
      (.init(.constant, warmUp: -1), "constant: warm-up must be 0 or more; got -1"),
      (
        .init(.constant, warmUp: 1, warmUpFactor: 0),
        "constant: warm-up factor must be above 0, and at most 1; got 0"
      ),
      (
        .init(.cosine(length: 1), warmUp: 1, warmUpFactor: 1.5),
        "cosine: warm-up factor must be above 0, and at most 1; got 1.5"
      ),
      (
        .init(.constant, warmUp: 1, warmUpFactor: .nan),
        "constant: warm-up factor must be above 0, and at most 1; got NaN"
      ),
      (.init(.step(length: 0)), "step: length must be at least 1; got 0"),
      (.init(.step(length: -1)), "step: length must be at least 1; got -1"),
      (.init(.step(length: 1, factor: 0)), "step: factor must be a finite number above 0; got 0"),
      (
        .init(.step(length: 1, factor: .infinity)),
        "step: factor must be a finite number above 0; got infinity"
      ),
      (.init(.exponential(factor: -0.5)), "exponential: factor must be a finite number above 0; got -0.5"),
      (.init(.exponential(factor: .nan)), "exponential: factor must be a finite number above 0; got NaN"),
      (.init(.cosine(length: 0)), "cosine: length must be at least 1; got 0"),
      (
        .init(.cosine(length: 1, minimum: -0.1)),
        "cosine: minimum must be a finite number, 0 or more; got -0.1"
      ),
      (
        .init(.cosine(length: 1, minimum: .nan)),
        "cosine: minimum must be a finite number, 0 or more; got NaN"
      ),
      (.init(.cosineRestarts(length: 0)), "cosineRestarts: length must be at least 1; got 0"),
      (.init(.cosineRestarts(length: 1, growth: 0)), "cosineRestarts: growth must be at least 1; got 0"),
      (
        .init(.cosineRestarts(length: 1, minimum: .infinity)),
        "cosineRestarts: minimum must be a finite number, 0 or more; got infinity"
      ),
      (.init(.oneCycle(length: 1)), "oneCycle: length must be at least 2; got 1"),
      (.init(.oneCycle(length: 2, rise: -0.1)), "oneCycle: rise must be 0 to 1; got -0.1"),
      (.init(.oneCycle(length: 2, rise: 1.1)), "oneCycle: rise must be 0 to 1; got 1.1"),
      (.init(.oneCycle(length: 2, rise: .nan)), "oneCycle: rise must be 0 to 1; got NaN"),
      (.init(.oneCycle(length: 2, divisor: 0)), "oneCycle: divisor must be a finite number above 0; got 0"),
      (
        .init(.oneCycle(length: 2, divisor: .infinity)),
        "oneCycle: divisor must be a finite number above 0; got infinity"
      ),
      (
        .init(.oneCycle(length: 2, finalDivisor: -1)),
        "oneCycle: final divisor must be a finite number above 0; got -1"
      ),
      (.init(.plateau(factor: 0)), "plateau: factor must be above 0, and less than 1; got 0"),
      (.init(.plateau(factor: 1)), "plateau: factor must be above 0, and less than 1; got 1"),
      (.init(.plateau(patience: -1)), "plateau: patience must be 0 or more; got -1"),
      (
        .init(.plateau(threshold: .relative(1))),
        "plateau: threshold must be 0 or more, and less than 1; got 1"
      ),
      (
        .init(.plateau(threshold: .relative(.nan))),
        "plateau: threshold must be 0 or more, and less than 1; got NaN"
      ),
      (
        .init(.plateau(threshold: .absolute(-1))),
        "plateau: threshold must be a finite number, 0 or more; got -1"
      ),
      (
        .init(.plateau(threshold: .absolute(.infinity))),
        "plateau: threshold must be a finite number, 0 or more; got infinity"
      ),
      (.init(.plateau(cooldown: -1)), "plateau: cooldown must be 0 or more; got -1"),
      (.init(.plateau(minimum: -1)), "plateau: minimum must be a finite number, 0 or more; got -1"),
    ] as [(Schedule, String)])
  func `with a number out of its range is refused`(schedule: Schedule, message: String) throws {
    let network = try Network<Float>(inputs: 1) { Dense(1) }
    #expect(throws: ChainruleError.invalidArgument(message: message)) {
      try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(schedule: schedule))
    }
    #expect(throws: ChainruleError.invalidArgument(message: message)) {
      try schedule.learningRate(0.1, at: 0)
    }
  }

  @Test func `does not look at what its rule does not use`() throws {
    let network = try Network<Float>(inputs: 1) { Dense(1) }
    #expect(throws: Never.self) {
      try Trainer(
        network, loss: .huber, options: TrainerOptions(schedule: Schedule(.constant, warmUpFactor: -1)))
    }
    #expect(throws: Never.self) {
      try Trainer(
        network, loss: .huber, options: TrainerOptions(schedule: Schedule(.plateau(threshold: .absolute(2)))))
    }
  }

  @Test func `has no rate before the first`() {
    #expect(throws: ChainruleError.invalidValue(name: "t", value: "-1", expected: "0 or more")) {
      try Schedule.constant.learningRate(0.1, at: -1)
    }
  }
}

@Suite struct `The learning rate of a trainer` {
  private func trainer(_ schedule: Schedule = .constant) throws -> Trainer<Double> {
    let network = try Network<Double>(inputs: 1, seed: 1) { Dense(1) }
    return try Trainer(
      network, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.5),
      options: TrainerOptions(schedule: schedule))
  }

  private func reports(of epochs: Epochs<Double>) async throws -> [Epoch] {
    var reports: [Epoch] = []
    for try await epoch in epochs { reports.append(epoch) }
    return reports
  }

  /// y = 0, which no update of a network at 0 can better.
  private let zeros = try! Dataset<Double>(
    features: (1...10).map { [Double($0) / 10] }, targets: (1...10).map { _ in [0] })

  @Test func `is reported of every epoch, the last step's`() async throws {
    let perEpoch = try trainer(Schedule(.step(length: 2, factor: 0.5), warmUp: 2, warmUpFactor: 0.5))
    let rates = try await reports(of: perEpoch.epochs(7, on: zeros, batchSize: 4)).map(\.learningRate)
    #expect(rates == [0.25, 0.375, 0.5, 0.5, 0.25, 0.25, 0.125])
    #expect(perEpoch.learningRate == 0.125)

    let perStep = try trainer(Schedule(.step(length: 2, factor: 0.5), per: .step))
    let last = try await reports(of: perStep.epochs(3, on: zeros, batchSize: 4)).map(\.learningRate)
    #expect(last == [0.25, 0.125, 0.03125])
  }

  @Test func `goes on with the schedule in a second call`() async throws {
    let trainer = try trainer(Schedule(.exponential(factor: 0.5)))
    var rates = try await reports(of: trainer.epochs(2, on: zeros)).map(\.learningRate)
    rates += try await reports(of: trainer.epochs(2, on: zeros)).map(\.learningRate)
    try trainer.epoch(on: zeros)
    #expect(rates + [trainer.learningRate] == [0.5, 0.25, 0.125, 0.0625, 0.03125])
  }

  @Test func `falls on a plateau of the validation loss, or of the loss where there is none`() async throws {
    let plateau = Schedule(.plateau(factor: 0.5, patience: 1, threshold: .relative(0)))
    // With η = 0 the loss stands still from the first epoch, the best, on.
    let still = try trainer(plateau)
    try still.setLearningRate(0)
    #expect(try await reports(of: still.epochs(3, on: zeros)).allSatisfy { $0.learningRate == 0 })
    try still.setLearningRate(1)
    #expect(still.learningRate == 0.5)

    // The training loss falls all the time; that of a validation set with the opposite slope rises.
    let line = (-2...2).map { [Double($0)] }
    let data = try Dataset<Double>(features: line, targets: line)
    let opposite = try Dataset<Double>(features: line, targets: line.map { [-$0[0]] })
    func rates(validating validation: Dataset<Double>?) async throws -> [Double] {
      let network = try Network<Double>(inputs: 1) { Dense(1, weightsInitializer: .zeros) }
      let trainer = try Trainer(
        network, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.0625),
        options: TrainerOptions(schedule: plateau))
      return try await reports(of: trainer.epochs(6, on: data, validating: validation)).map(\.learningRate)
    }
    #expect(try await rates(validating: nil) == Array(repeating: 0.0625, count: 6))
    #expect(
      try await rates(validating: opposite) == [0.0625, 0.0625, 0.0625, 0.03125, 0.03125, 0.015625])
  }

  @Test func `is set to no number that is none`() throws {
    let trainer = try trainer()
    for (rate, shown) in [(-1, "-1"), (Double.infinity, "infinity")] {
      let message = "sgd: learning rate must be a finite number, 0 or more; got \(shown)"
      #expect(throws: ChainruleError.invalidArgument(message: message)) { try trainer.setLearningRate(rate) }
    }
    #expect(throws: ChainruleError.self) { try trainer.setLearningRate(.nan) }
    #expect(trainer.learningRate == 0.5)
  }

  @Test func `does not go by a loss that is no number`() throws {
    let trainer = try trainer(Schedule(.plateau(patience: 0)))
    for (loss, message) in [
      (Double.nan, "the loss observed: NaN"), (.infinity, "the loss observed: infinity"),
    ] {
      #expect(
        throws: ChainruleError.notFinite(
          quantity: "the loss observed", layer: nil, step: 0, message: message)
      ) { try trainer.observe(loss) }
    }
    #expect(trainer.learningRate == 0.5)
  }
}
