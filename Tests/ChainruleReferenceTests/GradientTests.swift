import ChainruleReference
import RealModule
import TestSupport
import Testing

/// A network 3 – 4 – 3, and a batch for it.
struct Problem {
  var network: Network<Double>
  var loss: Loss
  var x: [[Double]]
  var y: [[Double]]
  let sampleWeights = [0.5, 2, 1, 0.75, 1.25]

  init(hidden: Activation, output: Activation, loss: Loss, seed: UInt64) {
    var random = Random(state: seed)
    func layer(_ inputs: Int, _ units: Int, _ activation: Activation) -> Layer<Double> {
      Layer(
        weights: random.matrix(units, inputs, scale: 2), bias: random.matrix(1, units, scale: 0.5)[0],
        activation: activation)
    }
    network = Network(layers: [layer(3, 4, hidden), layer(4, 3, output)])
    x = random.matrix(5, 3, scale: 1)
    y = random.matrix(5, 3, scale: 1).map { row in
      row.map { u in
        switch loss {
        case .hinge: u < 0 ? -1 : 1
        case .poisson: u < 0 ? 0 : (4 * u).rounded(.up)
        case .binaryCrossEntropy, .crossEntropy: (1 + u) / 2
        default: 2 * u
        }
      }
    }
    self.loss = loss
  }

  /// The first of a thousand seeds that keeps clear of every kink.
  static func smooth(hidden: Activation, output: Activation, loss: Loss) throws -> Problem {
    let problems = (1...1000).lazy.map { Problem(hidden: hidden, output: output, loss: loss, seed: $0) }
    return try #require(problems.first { $0.isSmooth })
  }

  /// Whether every z, and what the loss bends at, stays 1e-3 away from every kink.
  var isSmooth: Bool {
    let trace = network.forward(x)
    let ay = Array(zip(trace.outputs.flatMap { $0 }, y.flatMap { $0 }))
    func clear(_ values: [Double], of kinks: [Double]) -> Bool {
      values.allSatisfy { value in kinks.allSatisfy { abs(value - $0) > 1e-3 } }
    }
    guard clear(trace.z.flatMap { $0.flatMap { $0 } }, of: [-3, -1, 0, 1, 3]) else { return false }
    return switch loss {
    case .meanAbsoluteError: clear(ay.map { $0 - $1 }, of: [0])
    case .hinge: clear(ay.map { $0 * $1 }, of: [1])
    default: true
    }
  }

  func gradients() -> [Gradient<Double>] {
    network.backward(loss, network.forward(x), y: y, sampleWeights: sampleWeights).gradients
  }

  /// (L(p + h) − L(p − h)) / 2h
  func difference(_ parameter: WritableKeyPath<Network<Double>, Double>) -> Double {
    let h = 1e-6
    func L(_ step: Double) -> Double {
      var moved = network
      moved[keyPath: parameter] += step
      return moved.loss(loss, moved.forward(x), y: y, sampleWeights: sampleWeights)
    }
    return (L(h) - L(-h)) / (2 * h)
  }
}

@Suite struct `The gradient is the slope of the loss` {
  @Test(arguments: Activation.allCases, Loss.allCases)
  func `by central differences on every parameter`(activation: Activation, loss: Loss) throws {
    let positive: Set<Activation> = [.sigmoid, .softplus, .softmax]
    let output: Activation =
      loss.requiredOutput ?? (loss == .poisson && !positive.contains(activation) ? .softplus : activation)
    let problem = try Problem.smooth(hidden: activation, output: output, loss: loss)

    for (l, gradient) in problem.gradients().enumerated() {
      let layer = problem.network.layers[l]
      let bias = layer.bias!.indices.map { j in problem.difference(\.layers[l].bias![j]) }
      let weights = layer.weights.indices.flatMap { j in
        layer.weights[j].indices.map { i in problem.difference(\.layers[l].weights[j][i]) }
      }
      let slope = bias + weights
      expectClose(gradient.numbers, slope, .centralDifferences, "layer \(l + 1)")
      #expect(slope.contains { abs($0) > 1e-3 }, "a gradient of layer \(l + 1) worth comparing")
    }
  }

  @Test func `and PyTorch's choice at a kink`() {
    #expect(Activation.relu.derivative(0.0) == 0)
    #expect(Activation.leakyReLU.derivative(0.0) == 0.01)
    #expect(Activation.elu.derivative(0.0) == 1)
    #expect(Activation.hardTanh.derivative(1.0) == 0)
    #expect(Activation.hardTanh.derivative(-1.0) == 0)
    #expect(Activation.hardSigmoid.derivative(3.0) == 0)
    #expect(Activation.hardSigmoid.derivative(-3.0) == 0)

    func slope(_ loss: Loss, a: Double, y: Double) -> Double {
      loss.delta(z: [a], a: [a], y: [y], output: .identity)[0]
    }
    #expect(slope(.meanAbsoluteError, a: 2, y: 2) == 0)
    #expect(slope(.hinge, a: -1, y: -1) == 0)
    // A label of 0 is −1.
    #expect(slope(.hinge, a: -1, y: 0) == 0)
    #expect(slope(.hinge, a: 0.5, y: 0) == 1)
    #expect(Loss.hinge.value(z: [0.5], a: [0.5], y: [0]) == 1.5)
    #expect(slope(.poisson, a: 0, y: 0) == 1)
  }
}
