import ChainruleReference
import RealModule
import Testing

@Suite struct `Numbers stay finite at z = ±1000` {
  @Test(arguments: Activation.allCases)
  func `in every activation and its slope`(activation: Activation) {
    func check<Scalar: Real & BinaryFloatingPoint>(_: Scalar.Type) {
      for z in [-1000, 1000] as [Scalar] {
        #expect(activation.value(z).isFinite)
        #expect(activation.derivative(z).isFinite)
      }
      #expect(activation.values([-1000, 0, 1000] as [Scalar]).allSatisfy { $0.isFinite })
      #expect(activation.backward([1, 2, 3], z: [-1000, 0, 1000] as [Scalar]).allSatisfy { $0.isFinite })
    }
    check(Float.self)
    check(Double.self)
  }

  /// One layer with z = (1000, −1000), and what y makes of it.
  @Test(arguments: [
    (Loss.crossEntropy, [1.0, 0.0], loss: 0.0, delta: [0.0, 0.0]),
    (.crossEntropy, [0, 1], 2000, [1, -1]),
    (.crossEntropy, [0.5, 0.5], 1000, [0.5, -0.5]),
    (.binaryCrossEntropy, [1, 0], 0, [0, 0]),
    (.binaryCrossEntropy, [0, 1], 1000, [0.5, -0.5]),
    (.binaryCrossEntropy, [0.5, 0.5], 500, [0.25, -0.25]),
  ])
  func `in both cross-entropies, which are right there`(
    loss: Loss, y: [Double], expectedLoss: Double, delta: [Double]
  ) throws {
    func check<Scalar: Real & BinaryFloatingPoint>(_: Scalar.Type) throws {
      let layer = Layer<Scalar>(
        weights: [[1000], [-1000]], bias: nil, activation: try #require(loss.requiredOutput))
      let network = Network(layers: [layer])
      let y = [y.map { Scalar($0) }]
      let trace = network.forward([[1]])
      let backward = network.backward(loss, trace, y: y)
      #expect(network.loss(loss, trace, y: y) == Scalar(expectedLoss))
      #expect(backward.delta[0][0] == delta.map { Scalar($0) })
      #expect(backward.gradients[0].weights.map { $0[0] } == delta.map { Scalar($0) })
    }
    try check(Float.self)
    try check(Double.self)
  }
}
