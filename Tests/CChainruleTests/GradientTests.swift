import Chainrule
import TestSupport
import Testing

/// A network 3 – 4 – 3 of the core, and a batch for it.
struct Problem {
  let network: Network<Double>
  let loss: Loss
  let batch: Dataset<Double>

  init(hidden: Activation, output: Activation, loss: Loss, seed: UInt64, kernelSet: String) throws {
    var random = Random(state: seed)
    self.loss = loss
    network = try Network<Double>(
      inputs: 3, layers: [.dense(Dense(4, activation: hidden)), .dense(Dense(3, activation: output))],
      kernelSet: kernelSet)
    for l in 0..<2 {
      var parameters = try network.parameters(ofLayer: l)
      parameters.weights = parameters.weights.map { _ in 2 * random.next() }
      parameters.bias = parameters.bias.map { $0.map { _ in 0.5 * random.next() } }
      try network.setParameters(parameters, ofLayer: l)
    }
    batch = try Dataset(
      features: random.matrix(5, 3, scale: 1),
      targets: random.matrix(5, 3, scale: 1).map { row in
        row.map { u in
          switch loss {
          case .hinge: u < 0 ? -1 : 1
          case .poisson: u < 0 ? 0 : (4 * u).rounded(.up)
          case .binaryCrossEntropy, .crossEntropy: (1 + u) / 2
          default: 2 * u
          }
        }
      },
      sampleWeights: [0.5, 2, 1, 0.75, 1.25])
  }

  /// The first of a thousand seeds that keeps clear of every kink.
  static func smooth(
    hidden: Activation, output: Activation, loss: Loss, kernelSet: String
  ) throws -> Problem {
    for seed in 1...1000 as ClosedRange<UInt64> {
      let problem = try Problem(
        hidden: hidden, output: output, loss: loss, seed: seed, kernelSet: kernelSet)
      if try problem.isSmooth { return problem }
    }
    return try #require(nil, "a seed without kinks")
  }

  /// Whether every z, and what the loss bends at, stays 1e-3 away from every kink.
  private var isSmooth: Bool {
    get throws {
      let trainer = try Trainer(network, loss: loss, options: TrainerOptions(recordsTrace: true))
      try trainer.gradients(batch)
      let trace = try trainer.trace()
      func clear(_ values: [Double], of kinks: [Double]) -> Bool {
        values.allSatisfy { value in kinks.allSatisfy { abs(value - $0) > 1e-3 } }
      }
      guard clear(trace.flatMap(\.z), of: [-3, -1, 0, 1, 3]) else { return false }
      let outputs = zip(trace.last!.a, batch.targets)
      return switch loss {
      case .meanAbsoluteError: clear(outputs.map { $0 - $1 }, of: [0])
      case .hinge: clear(outputs.map { $0 * $1 }, of: [1])
      default: true
      }
    }
  }

  /// (L(p + h) − L(p − h)) / 2h for every parameter of layer l: bias, then weights row by row.
  func slopes(ofLayer l: Int) throws -> [Double] {
    let h = 1e-6
    let parameters = try network.parameters(ofLayer: l)
    func slope(_ parameter: WritableKeyPath<LayerParameters<Double>, Double>) throws -> Double {
      func L(_ step: Double) throws -> Double {
        var moved = parameters
        moved[keyPath: parameter] += step
        try network.setParameters(moved, ofLayer: l)
        return try network.evaluate(batch, loss: loss).loss
      }
      let difference = try L(h) - L(-h)
      try network.setParameters(parameters, ofLayer: l)
      return difference / (2 * h)
    }
    return try parameters.bias!.indices.map { try slope(\.bias![$0]) }
      + parameters.weights.indices.map { try slope(\.weights[$0]) }
  }
}

extension Loss {
  /// Whether the loss can follow that output layer.
  func fits(_ output: Activation) -> Bool {
    switch self {
    case .crossEntropy: output == .softmax
    case .binaryCrossEntropy: output == .sigmoid
    case .poisson: [.sigmoid, .softplus, .softmax].contains(output)
    default: true
    }
  }
}

@Suite struct `The core's gradient is the slope of its loss` {
  @Test(arguments: Network<Double>.kernelSets, Loss.allCases)
  func `by central differences on every parameter`(kernelSet: String, loss: Loss) throws {
    for output in Activation.allCases where loss.fits(output) {
      for hidden in Activation.allCases where hidden != .softmax {
        // Every hidden activation under one output, every output over one hidden activation.
        guard hidden == .tanh || output == Activation.allCases.first(where: loss.fits) else { continue }
        let problem = try Problem.smooth(hidden: hidden, output: output, loss: loss, kernelSet: kernelSet)
        let trainer = try Trainer(problem.network, loss: loss, options: TrainerOptions(recordsTrace: true))
        try trainer.gradients(problem.batch)
        for (l, trace) in try trainer.trace().enumerated() {
          let slopes = try problem.slopes(ofLayer: l)
          #expect(
            mismatch(trace.gradient, slopes, .centralDifferences) == nil,
            "\(loss), \(hidden) → \(output), layer \(l + 1)")
          #expect(slopes.contains { abs($0) > 1e-3 }, "a gradient worth comparing: \(hidden) → \(output)")
        }
      }
    }
  }

  @Test(arguments: Loss.allCases, Activation.allCases)
  func `and a loss that does not fit the output layer is refused`(loss: Loss, output: Activation) throws {
    let network = try Network<Double>(inputs: 2) { Dense(3, activation: output) }
    if loss.fits(output) {
      #expect(throws: Never.self) { try Trainer(network, loss: loss) }
    } else {
      let error = #expect(throws: ChainruleError.self) { try Trainer(network, loss: loss) }
      guard case .invalidNetwork(layer: 1, let reason) = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(reason.contains(loss.rawValue) && reason.contains(output.rawValue))
    }
  }
}
