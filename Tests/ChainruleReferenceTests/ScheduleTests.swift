import ChainruleReference
import TestSupport
import Testing

extension Schedule<Double> {
  /// The rule of those numbers; nil for a plateau, which goes by the loss.
  init?(_ numbers: ScheduleCase.Schedule) throws {
    let minimum = numbers.minimum ?? 0
    func length() throws -> Int { try #require(numbers.length) }
    switch numbers.type {
    case "constant": self = .constant
    case "step": self = .step(length: try length(), factor: numbers.factor ?? 0.1)
    case "exponential": self = .exponential(factor: try #require(numbers.factor))
    case "cosine": self = .cosine(length: try length(), minimum: minimum)
    case "cosineRestarts":
      self = .cosineRestarts(length: try length(), growth: numbers.growth ?? 1, minimum: minimum)
    case "oneCycle":
      self = .oneCycle(
        length: try length(), rise: numbers.rise ?? 0.3, divisor: numbers.divisor ?? 25,
        finalDivisor: numbers.finalDivisor ?? 1e4)
    default: return nil
    }
  }
}

extension Plateau<Double> {
  init(_ numbers: ScheduleCase.Schedule, learningRate: Double) {
    let threshold = numbers.threshold ?? 1e-4
    self.init(
      learningRate: learningRate, factor: numbers.factor ?? 0.1, patience: numbers.patience ?? 10,
      threshold: numbers.absolute == true ? .absolute(threshold) : .relative(threshold),
      cooldown: numbers.cooldown ?? 0, minimum: numbers.minimum ?? 0)
  }
}

@Suite struct `The reference's learning rates are PyTorch's` {
  @Test(arguments: try ScheduleCase.all())
  func `in every case`(golden: ScheduleCase) throws {
    let η = golden.learningRate
    let warmUp = golden.schedule.warmUp ?? 0
    func warmedUp(_ schedule: Schedule<Double>) -> Schedule<Double> {
      guard let factor = golden.schedule.warmUpFactor else {
        return warmUp == 0 ? schedule : .warmUp(length: warmUp, schedule: schedule)
      }
      return .warmUp(length: warmUp, factor: factor, schedule: schedule)
    }
    if let schedule = try Schedule(golden.schedule) {
      let rates = golden.rates.indices.map { warmedUp(schedule).learningRate(η, at: $0) }
      expectClose(rates, golden.rates, .rates, golden.name)
    } else {
      var plateau = Plateau(golden.schedule, learningRate: η)
      var rates = (0..<warmUp).map { warmedUp(.constant).learningRate(η, at: $0) }
      for loss in try #require(golden.losses).dropFirst(warmUp) {
        rates.append(plateau.learningRate)
        plateau.observe(loss)
      }
      expectClose(rates, golden.rates, .rates, golden.name)
    }
  }

  @Test func `in float32 as far as that goes`() throws {
    let schedule = Schedule<Float>.warmUp(length: 3, schedule: .cosine(length: 10))
    let expected: [Double] = [
      1.0 / 3, 5.0 / 9, 7.0 / 9, 1, 0.97552826, 0.90450850, 0.79389263, 0.65450850, 0.5,
    ]
    expectClose(expected.indices.map { schedule.learningRate(1, at: $0) }, expected, .float32, "rates")
  }
}
