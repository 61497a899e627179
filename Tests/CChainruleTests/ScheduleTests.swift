import Chainrule
import TestSupport
import Testing

/// One weight w, with ∂L/∂w = −1 as long as w is small: after an update by sgd it is larger by the learning
/// rate.
private func ramp(
  _ schedule: Schedule, learningRate: Double = 0.5, kernelSet: String? = nil
) throws -> (trainer: Trainer<Double>, row: Dataset<Double>) {
  let layers = [Layer.dense(Dense(1, bias: false, weightsInitializer: .zeros))]
  let network = try Network<Double>(inputs: 1, layers: layers, kernelSet: kernelSet)
  return (
    try Trainer(
      network, loss: .meanAbsoluteError, optimizer: .sgd(learningRate: learningRate),
      options: TrainerOptions(schedule: schedule)),
    try Dataset(features: [[1]], targets: [[1e9]])
  )
}

extension Trainer<Double> {
  fileprivate var weight: Double {
    get throws { try network.bits[0] }
  }
}

/// Every rule, with numbers of its own.
private let rules: [Schedule.Rule] = [
  .constant, .step(length: 3, factor: 0.5), .exponential(factor: 0.75), .cosine(length: 7, minimum: 0.125),
  .cosineRestarts(length: 3, growth: 2, minimum: 0.25), .oneCycle(length: 11, rise: 0.5),
  .plateau(factor: 0.5, patience: 1),
]

@Suite struct `The core's learning rates are PyTorch's` {
  @Test(arguments: try ScheduleCase.all(), Schedule.Unit.allCases)
  func `in every case, one step an epoch`(golden: ScheduleCase, unit: Schedule.Unit) throws {
    var schedule = try JSONCoding.decode(Schedule.self, from: golden.schedule)
    schedule.unit = unit
    let (trainer, row) = try ramp(schedule, learningRate: golden.learningRate)
    #expect(trainer.learningRate == (try schedule.learningRate(golden.learningRate, at: 0)))
    var rates: [Double] = []
    for t in golden.rates.indices {
      try trainer.epoch(on: row, batchSize: 1)
      rates.append(trainer.learningRate)
      if let losses = golden.losses { try trainer.observe(losses[t]) }
    }
    #expect(mismatch(rates, golden.rates, .rates) == nil)
    let total = golden.rates.reduce(0, +)
    #expect(abs(try trainer.weight - total) <= 1e-12 * total, "the updates have those rates")
    guard golden.losses == nil else { return }
    #expect(try golden.rates.indices.map { try schedule.learningRate(golden.learningRate, at: $0) } == rates)
  }

  @Test func `in cases of every rule of the catalogue, with a warm-up and without`() throws {
    let cases = try ScheduleCase.all()
    #expect(rules.map { Schedule($0).name } == Schedule.names)
    #expect(Set(cases.filter { $0.schedule.warmUp == nil }.map(\.schedule.type)) == Set(Schedule.names))
    #expect(Set(cases.filter { $0.schedule.warmUp != nil }.map(\.schedule.type)) == Set(Schedule.names))
    #expect(cases.count == 79)
  }
}

@Suite struct `The core trains by its schedule` {
  @Test(arguments: Network<Double>.kernelSets, rules)
  func `per epoch or per step, with every kernel set`(kernelSet: String, rule: Schedule.Rule) throws {
    for unit in Schedule.Unit.allCases {
      for warmUp in [0, 4] {
        let schedule = Schedule(rule, per: unit, warmUp: warmUp, warmUpFactor: 0.25)
        let (trainer, row) = try ramp(schedule, kernelSet: kernelSet)
        let data = try Dataset<Double>(
          features: Array(repeating: [1], count: 10), targets: Array(repeating: [1e9], count: 10))
        var weight = 0.0
        for epoch in 0..<6 {
          for step in 3 * epoch..<3 * epoch + 3 {
            weight += try schedule.learningRate(0.5, at: unit == .epoch ? epoch : step)
          }
          try trainer.epoch(on: data, batchSize: 4)
          #expect(abs(try trainer.weight - weight) < 1e-14, "\(schedule), epoch \(epoch)")
        }
        let next = try schedule.learningRate(0.5, at: unit == .epoch ? 6 : 18)
        try trainer.step(row)
        #expect(trainer.learningRate == next)
        #expect(abs(try trainer.weight - weight - next) < 1e-14)
      }
    }
  }

  @Test func `with a constant one as without any`() throws {
    let network = {
      try Network<Double>(inputs: 1, seed: 3) {
        Dense(3, activation: .tanh); Dense(1)
      }
    }
    let data = try Dataset<Double>(features: [[1], [2], [3]], targets: [[3], [1], [2]])
    let (plain, constant) = (try network(), try network())
    for _ in 0..<5 { try Trainer(plain, loss: .huber).epoch(on: data, batchSize: 2) }
    for _ in 0..<5 {
      try Trainer(constant, loss: .huber, options: TrainerOptions(schedule: Schedule(.constant, per: .step)))
        .epoch(on: data, batchSize: 2)
    }
    #expect(try plain.bits == constant.bits)
  }

  @Test(arguments: rules)
  func `however many epochs or steps are done`(rule: Schedule.Rule) throws {
    for t in [1 << 31, 1 << 53, Int.max] {
      for warmUp in [0, 1000, Int.max] {
        let rate = try Schedule(rule, warmUp: warmUp).learningRate(0.5, at: t)
        #expect(0...0.5 ~= rate)
      }
    }
    #expect(try Schedule(.cosine(length: .max)).learningRate(0.5, at: .max) == 0)
    #expect(try Schedule(.oneCycle(length: .max)).learningRate(0.5, at: 0) == 0.02)
    #expect(try Schedule(.cosineRestarts(length: .max, growth: .max)).learningRate(0.5, at: .max) == 0.5)
  }

  @Test func `and a plateau's whether it is told between epochs or between steps`() throws {
    let (trainer, row) = try ramp(Schedule(.plateau(factor: 0.5, patience: 0)))
    for rate in [0.5, 0.5, 0.25, 0.125] {
      try trainer.step(row)
      #expect(trainer.learningRate == rate)
      try trainer.observe(1)
      #expect(trainer.learningRate == rate, "that of the last update")
    }
    #expect(try trainer.weight == 1.375)
  }

  @Test func `from another rate once that is set`() throws {
    let (trainer, row) = try ramp(Schedule(.exponential(factor: 0.5)))
    try trainer.epoch(on: row, batchSize: 1)
    #expect(trainer.learningRate == 0.5)
    try trainer.setLearningRate(0.25)
    #expect(trainer.learningRate == 0.125)
    try trainer.epoch(on: row, batchSize: 1)
    #expect(trainer.learningRate == 0.125)
    #expect(try trainer.weight == 0.625)
  }
}
