import Chainrule
import Foundation

/// The workloads of `Benchmarks/workloads.json`.
public struct Workloads: Decodable, Sendable {
  /// The training workloads by name.
  public let train: [String: TrainingWorkload]
  /// The prediction workloads by name.
  public let predict: [String: PredictionWorkload]

  /// Reads the file next to the package's manifest.
  public static func read() throws -> Workloads {
    let package = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    return try JSONDecoder().decode(
      Workloads.self, from: Data(contentsOf: package.appendingPathComponent("workloads.json")))
  }
}

/// A network to train, with its data.
public struct TrainingWorkload: Decodable, Sendable {
  /// The inputs, then the units of each layer.
  public let layers: [Int]
  /// The activation of the hidden layers.
  public let hidden: Activation
  /// The activation of the last layer.
  public let output: Activation
  /// The loss function.
  public let loss: Loss
  /// The rows of an update.
  public let batch: Int
  /// The rows of an epoch.
  public let samples: Int
  /// float32 or float64
  public let scalar: ScalarType

  private let optimizer: String
  private let learningRate: Double
  private let momentum: Double
  private let data: String

  /// The optimizer.
  public var rule: Optimizer {
    get throws {
      optimizer == "sgd"
        ? .sgd(learningRate: learningRate, momentum: momentum)
        : try Optimizer(named: optimizer, [.learningRate: learningRate])
    }
  }

  /// The network with its initial parameters.
  public func network<Scalar: NetworkScalar>() throws -> Network<Scalar> {
    try Network(
      inputs: layers[0], layers: description(layers, hidden: hidden, output: output), seed: 1)
  }

  /// A trainer of that network that doesn't shuffle the rows.
  public func trainer<Scalar: NetworkScalar>(
    of network: Network<Scalar>, threads: Int
  ) throws -> Trainer<Scalar> {
    try Trainer(
      network, loss: loss, optimizer: rule, options: TrainerOptions(shuffle: false, threads: threads))
  }

  /// Synthetic rows as the workload's `data` describes them.
  public func dataset<Scalar: NetworkScalar>() throws -> Dataset<Scalar> {
    let (inputs, outputs) = (layers.first!, layers.last!)
    var x: [Scalar] = []
    var y: [Scalar] = []
    x.reserveCapacity(samples * inputs)
    y.reserveCapacity(samples * outputs)
    var generator = Normals()
    for row in 0..<samples {
      let features =
        data == "xor"
        ? [Scalar(row & 1), Scalar(row >> 1 & 1)]
        : (0..<inputs).map { _ in Scalar(generator.next()) }
      x += features
      switch data {
      case "xor": y.append(features[0] == features[1] ? 0 : 1)
      case "classes":
        let largest = features[..<outputs].indices.max { features[$0] < features[$1] }
        y += (0..<outputs).map { $0 == largest ? 1 : 0 }
      default: y += (0..<outputs).map { Scalar(tanh(Double(features[$0]))) }
      }
    }
    return try Dataset(features: x, targets: y, rows: samples, inputs: inputs, outputs: outputs)
  }
}

/// A network to predict with, and its number of rows.
public struct PredictionWorkload: Decodable, Sendable {
  /// The inputs, then the units of each layer.
  public let layers: [Int]
  /// The rows of a call.
  public let rows: Int

  private let hidden: Activation
  private let output: Activation

  /// The model with the initial parameters of a network.
  public func model<Scalar: NetworkScalar>() throws -> Model<Scalar> {
    try Model(
      Network(inputs: layers[0], layers: description(layers, hidden: hidden, output: output), seed: 1))
  }

  /// The features of a call, rows × inputs.
  public func features<Scalar: NetworkScalar>() -> [Scalar] {
    var generator = Normals()
    return (0..<rows * layers[0]).map { _ in Scalar(generator.next()) }
  }
}

private func description(_ widths: [Int], hidden: Activation, output: Activation) -> [Layer] {
  widths.indices.dropFirst().map { layer in
    .dense(Dense(widths[layer], activation: layer == widths.count - 1 ? output : hidden))
  }
}

/// Nearly normal numbers: sums of three uniform numbers in ±1, by xorshift64 (Marsaglia 2003).
private struct Normals {
  private var state: UInt64 = 88_172_645_463_325_252

  mutating func next() -> Double {
    var sum = 0.0
    for _ in 0..<3 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      sum += Double(Int64(bitPattern: state)) / 0x1p63
    }
    return sum
  }
}
