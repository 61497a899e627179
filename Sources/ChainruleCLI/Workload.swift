import Chainrule
import Foundation

/// A network to time in training (W) or prediction (I). Shapes and data are fixed, so that speeds of
/// machines, versions and libraries can be compared.
struct Workload: Sendable {
  let name: String
  /// The number of inputs, then the units of each layer.
  let widths: [Int]
  let hidden: Activation
  let output: Activation
  let scalar: ScalarType
  /// The rows of an epoch, or of a prediction call.
  let rows: Int
  /// The rows of an update; for predictions all.
  let batchSize: Int
  let contents: Contents
  /// nil for prediction.
  let training: Training?

  struct Training: Sendable {
    let loss: Loss
    let optimizer: Optimizer
  }

  static let all = [
    Workload("W1a", [2, 2, 1], .sigmoid, batchSize: 1, of: 4000, .xor, .sgd(learningRate: 0.5)),
    Workload("W1b", [2, 2, 1], .sigmoid, batchSize: 32, of: 128_000, .xor, .sgd(learningRate: 0.5)),
    Workload("W2", [4, 16, 16, 3], .tanh, batchSize: 16, of: 150, .classes, .adam()),
    Workload("W3", [64, 128, 64, 10], .relu, batchSize: 32, of: 1797, .classes, .adam()),
    Workload(
      "W4", [784, 128, 10], .relu, batchSize: 64, of: 60_000, .classes,
      .sgd(learningRate: 0.01, momentum: 0.9)),
    Workload("W5", [784, 512, 256, 10], .relu, batchSize: 128, of: 60_000, .classes, .adam()),
    Workload(
      "W6", [1024, 2048, 2048, 1024], .relu, batchSize: 256, of: 8192, .quantities,
      .adam(learningRate: 0.0001)),
    Workload(
      "W7", [32, 64, 64, 1], .tanh, batchSize: 64, of: 100_000, .quantities, .adam(), scalar: .float64),
    Workload("I1s", [64, 128, 64, 10], .relu, batchSize: 1, of: 1, .quantities),
    Workload("I1m", [784, 512, 256, 10], .relu, batchSize: 1, of: 1, .quantities),
    Workload("I2s", [64, 128, 64, 10], .relu, batchSize: 256, of: 256, .quantities),
    Workload("I2m", [784, 512, 256, 10], .relu, batchSize: 256, of: 256, .quantities),
  ]

  private init(
    _ name: String, _ widths: [Int], _ hidden: Activation, batchSize: Int, of rows: Int, _ contents: Contents,
    _ optimizer: Optimizer? = nil, scalar: ScalarType = .float32
  ) {
    self.name = name
    self.widths = widths
    self.hidden = hidden
    self.scalar = scalar
    self.rows = rows
    self.batchSize = batchSize
    self.contents = contents
    output = contents.output
    training = optimizer.map { Training(loss: contents.loss, optimizer: $0) }
  }

  var inputs: Int { widths[0] }

  var layers: [Layer] {
    let last = widths.count - 1
    return (1...last).map { .dense(Dense(widths[$0], activation: $0 == last ? output : hidden)) }
  }

  /// The floating-point operations that the products of a row need, two a multiply-add: in · out of them for
  /// z, and in training as many for ∂L/∂W and, but in the first layer, for δ.
  var operationsPerRow: Double {
    zip(widths, widths.dropFirst()).enumerated().reduce(0) { sum, layer in
      let (index, (inputs, outputs)) = layer
      let products = training == nil ? 1 : index == 0 ? 2 : 3
      return sum + Double(2 * products * inputs * outputs)
    }
  }

  /// The updates of an epoch; the last may have fewer rows.
  var updates: Int { (rows + batchSize - 1) / batchSize }
}

// MARK: - Data

extension Workload {
  /// The kind of data.
  enum Contents: Sendable {
    /// The four rows of XOR, over and over.
    case xor
    /// x normal; the class is that of the largest of the first features.
    case classes
    /// x normal; output o is tanh of feature o, counted round.
    case quantities

    fileprivate var output: Activation {
      switch self {
      case .xor: .sigmoid
      case .classes: .softmax
      case .quantities: .identity
      }
    }

    fileprivate var loss: Loss { self == .classes ? .crossEntropy : .meanSquaredError }
  }

  /// The same numbers in every run.
  func dataset<Scalar: NetworkScalar>() throws -> Dataset<Scalar> {
    var random = SplitMix64(seed: 1)
    let outputs = widths.last!
    var x = [Scalar](repeating: 0, count: rows * inputs)
    var y = [Scalar](repeating: 0, count: rows * outputs)
    for row in 0..<rows {
      let (x0, y0) = (row * inputs, row * outputs)
      switch contents {
      case .xor:
        let (a, b) = (row & 1, row >> 1 & 1)
        (x[x0], x[x0 + 1], y[y0]) = (Scalar(a), Scalar(b), Scalar(a ^ b))
      case .classes:
        for i in 0..<inputs { x[x0 + i] = Scalar(random.normal()) }
        let largest = (0..<outputs).max { x[x0 + $0] < x[x0 + $1] }!
        y[y0 + largest] = 1
      case .quantities:
        for i in 0..<inputs { x[x0 + i] = Scalar(random.normal()) }
        for o in 0..<outputs { y[y0 + o] = Scalar(tanh(Double(x[x0 + o % inputs]))) }
      }
    }
    return try Dataset(features: x, targets: y, rows: rows, inputs: inputs, outputs: outputs)
  }
}

extension SplitMix64 {
  /// The sum of three numbers uniform in −1 ..< 1: of mean 0 and variance 1, and near enough to normal.
  fileprivate mutating func normal() -> Double {
    let (bits, mask) = (next(), 0x1F_FFFF as UInt64)
    let sum = (bits & mask) + (bits >> 21 & mask) + (bits >> 42 & mask)
    return Double(sum) * 0x1p-20 - 3
  }
}

// MARK: - In words

extension Workload: CustomStringConvertible {
  /// "64 → 128 → 64 → 10", and the type where it is not the usual one.
  var description: String {
    widths.map(String.init).joined(separator: " → ") + (scalar == .float32 ? "" : ", \(scalar.rawValue)")
  }
}
