import Chainrule
import ChainruleReference

/// How fast a workload was.
struct Measurement {
  let workload: Workload
  let threads: Int
  let kernelSet: String
  /// Shortest and median time of an epoch, or of a prediction call, in seconds.
  let least, median: Double
  /// Peak speed of this number of threads in floating-point operations per second, measured at the same time.
  let peak: Double

  var samplesPerSecond: Double { Double(workload.rows) / least }
  var operationsPerSecond: Double { workload.operationsPerRow * samplesPerSecond }
  var secondsPerUpdate: Double? { workload.training == nil ? nil : least / Double(workload.updates) }
}

/// Peak speed of a number of threads on this machine, in floating-point operations per second.
struct Peak {
  /// Its name in the list of workloads.
  static let name = "peak"

  let threads: Int
  let float32, float64: Double

  init(threads: Int) {
    self.threads = threads
    float32 = Float.peak(threads: threads)
    float64 = Double.peak(threads: threads)
  }
}

extension Workload {
  /// Checks the core against the reference, then times it.
  ///
  /// - Parameter seconds: Total time of the timed calls, if it allows three of them.
  /// - Throws: `Failure` if the core and the reference disagree.
  func measure(threads: Int, seconds: Double) throws -> Measurement {
    switch scalar {
    case .float32: try measure(Float.self, threads: threads, seconds: seconds)
    case .float64: try measure(Double.self, threads: threads, seconds: seconds)
    }
  }

  private func measure<Scalar: NetworkScalar>(
    _: Scalar.Type, threads: Int, seconds: Double
  ) throws -> Measurement {
    let data: Dataset<Scalar> = try dataset()
    try check(on: data, threads: threads)
    let network: Chainrule.Network<Scalar> = try network()
    // A prediction runs in the calling thread.
    let threads = training == nil ? 1 : threads

    let before = Scalar.peak(threads: threads)
    let times =
      if let training {
        try epochTimes(
          of: trainer(of: network, training, threads: threads), on: data, threads: threads, budget: seconds)
      } else {
        try predictionTimes(of: Model(network), on: data, budget: seconds)
      }
    return Measurement(
      workload: self, threads: threads, kernelSet: network.kernelSet, least: times[0],
      median: times[times.count / 2], peak: max(before, Scalar.peak(threads: threads)))
  }

  private func network<Scalar>() throws -> Chainrule.Network<Scalar> {
    try Chainrule.Network(inputs: inputs, layers: layers, seed: 1)
  }

  private func trainer<Scalar>(
    of network: Chainrule.Network<Scalar>, _ training: Training, threads: Int
  ) throws -> Chainrule.Trainer<Scalar> {
    try Chainrule.Trainer(
      network, loss: training.loss, optimizer: training.optimizer,
      options: TrainerOptions(shuffle: false, threads: threads))
  }
}

// MARK: - Checking

extension Workload {
  /// The largest accepted error, relative to the losses and outputs and to the change of the parameters. The
  /// first updates of Adam are η g / |g|: a g that is only rounding error, one in many thousands, can have
  /// the other sign.
  private static let limits: [ScalarType: Double] = [.float32: 1e-3, .float64: 1e-10]

  /// Larger networks would take the reference longer than the workload itself.
  private static let mostParametersOfTheReference = 1_000_000

  /// Trains on a few rows, or predicts them, and compares the results with the reference in float64; for the
  /// largest networks with the kernel set of GSL's BLAS.
  ///
  /// - Parameter prepare: Changes the reference before it starts; a test plants an error with it.
  /// - Throws: `Failure` if the results differ by more than the limit.
  func check<Scalar: NetworkScalar>(
    on data: Dataset<Scalar>, threads: Int,
    preparing prepare: (inout ChainruleReference.Network<Double>) -> Void = { _ in }
  ) throws {
    let network: Chainrule.Network<Scalar> = try network()
    let start = try network.allParameters
    let rows = min(batchSize, max(2, 50_000 / network.parameterCount))
    let steps = training != nil && network.parameterCount < 50_000 ? 3 : 1
    let batches = (0..<steps).map { data[rows: $0 * rows..<($0 + 1) * rows] }

    let expected =
      if network.parameterCount <= Self.mostParametersOfTheReference {
        outcome(of: try ChainruleReference.Network(network, preparing: prepare), on: batches)
      } else {
        try outcome(
          of: network.widened(kernelSet: "gsl"),
          on: batches.map { try Dataset(features: $0.x, targets: $0.y) }, threads: 1)
      }
    let found = try outcome(of: network, on: batches, threads: threads)
    let (error, place) = found.worstError(against: expected, from: start)
    let limit = Self.limits[scalar]!
    // Not >, which is false of NaN.
    guard error <= limit else {
      throw Failure(
        message: "\(name): the core disagrees with the reference: \(place) is off by \(short(error)), "
          + "more than \(short(limit))",
        exitCode: .failure)
    }
  }

  private func outcome<Scalar>(
    of network: Chainrule.Network<Scalar>, on batches: [Dataset<Scalar>], threads: Int
  ) throws -> Outcome {
    guard let training else {
      return Outcome(results: try network.predict(batches[0].features).map { Double($0) }, parameters: [])
    }
    let trainer = try trainer(of: network, training, threads: threads)
    let losses = try batches.map { try trainer.step($0) }
    return Outcome(results: losses, parameters: try network.allParameters)
  }

  private func outcome<Scalar>(
    of reference: ChainruleReference.Network<Double>, on batches: [Dataset<Scalar>]
  ) -> Outcome {
    guard let training else {
      return Outcome(results: reference.predict(batches[0].x).flatMap(\.self), parameters: [])
    }
    var trainer = ChainruleReference.Trainer(
      network: reference, loss: ChainruleReference.Loss(rawValue: training.loss.rawValue)!,
      optimizer: ChainruleReference.Optimizer(training.optimizer))
    let losses = batches.map { trainer.step(x: $0.x, y: $0.y).loss }
    return Outcome(results: losses, parameters: trainer.network.allParameters)
  }
}

/// The results for a few rows.
private struct Outcome {
  /// The loss of each step, or the outputs.
  var results: [Double]
  /// The weights and the bias of each layer after the last step; empty for a prediction.
  var parameters: [[Double]]

  /// - Parameter start: The parameters before the first step.
  func worstError(against expected: Outcome, from start: [[Double]]) -> (error: Double, place: String) {
    let zeros = [Double](repeating: 0, count: results.count)
    let errors =
      [(distance(results, expected.results, from: zeros), "the result")]
      + parameters.indices.map { index in
        (
          distance(parameters[index], expected.parameters[index], from: start[index]),
          "layer \(index / 2 + 1), \(index % 2 == 0 ? "weights" : "bias")"
        )
      }
    return errors.first { $0.0.isNaN } ?? errors.max { $0.0 < $1.0 }!
  }

  /// ‖found − expected‖ / ‖expected − start‖ in the Euclidean norm: the error relative to the change.
  private func distance(_ found: [Double], _ expected: [Double], from start: [Double]) -> Double {
    func norm(_ x: [Double], minus y: [Double]) -> Double {
      zip(x, y).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
    }
    // Without a change the quotient would be 0 / 0.
    return found == expected ? 0 : norm(found, minus: expected) / norm(expected, minus: start)
  }
}

// MARK: - Between the core and the reference

extension Dataset {
  /// x, [rows][inputs]
  fileprivate var x: [[Double]] { (0..<rows).map { self[row: $0].features.map { Double($0) } } }
  /// y, [rows][outputs]
  fileprivate var y: [[Double]] { (0..<rows).map { self[row: $0].targets.map { Double($0) } } }
}

extension ChainruleReference.Network<Double> {
  /// The same layers and parameters, then prepared.
  fileprivate init(
    _ network: Chainrule.Network<some NetworkScalar>, preparing prepare: (inout Self) -> Void
  ) throws {
    let layers = try network.layers.indices.map { index in
      let parameters = try network.parameters(ofLayer: index)
      let inputs = parameters.inputs
      return ChainruleReference.Layer(
        weights: (0..<parameters.units).map { unit in
          parameters.weights[unit * inputs..<(unit + 1) * inputs].map { Double($0) }
        },
        bias: parameters.bias?.map { Double($0) },
        activation: ChainruleReference.Activation(rawValue: network.layers[index].activation.rawValue)!)
    }
    self.init(layers: layers)
    prepare(&self)
  }

  /// Each layer's weights, then its bias.
  fileprivate var allParameters: [[Double]] {
    layers.flatMap { [$0.weights.flatMap(\.self), $0.bias ?? []] }
  }
}

extension Chainrule.Network {
  /// Each layer's weights, then its bias.
  fileprivate var allParameters: [[Double]] {
    get throws {
      try layers.indices.flatMap { index in
        let parameters = try parameters(ofLayer: index)
        return [parameters.weights.map { Double($0) }, (parameters.bias ?? []).map { Double($0) }]
      }
    }
  }

  /// The same layers and parameters in float64.
  fileprivate func widened(kernelSet: String) throws -> Chainrule.Network<Double> {
    let wide = try Chainrule.Network<Double>(inputs: inputs, layers: layers, kernelSet: kernelSet)
    for index in layers.indices {
      let narrow = try parameters(ofLayer: index)
      try wide.setParameters(
        LayerParameters(
          inputs: narrow.inputs, units: narrow.units, weights: narrow.weights.map { Double($0) },
          bias: narrow.bias?.map { Double($0) }),
        ofLayer: index)
    }
    return wide
  }
}

// MARK: - Timing

extension Workload {
  /// The seconds of epochs.
  private func epochTimes<Scalar>(
    of trainer: Chainrule.Trainer<Scalar>, on data: Dataset<Scalar>, threads: Int, budget: Double
  ) throws -> [Double] {
    try times(threads: threads, budget: budget) { try trainer.epoch(on: data, batchSize: batchSize) }
  }

  /// The seconds of predictions of all rows at once.
  private func predictionTimes<Scalar>(
    of model: Model<Scalar>, on data: Dataset<Scalar>, budget: Double
  ) throws -> [Double] {
    var predictor = model.predictor(rows: rows)
    var outputs = [Scalar](repeating: 0, count: rows * model.outputs)
    return try data.features.withUnsafeBufferPointer { x in
      try outputs.withUnsafeMutableBufferPointer { outputs in
        try times(threads: 1, budget: budget) { try predictor.predict(x, into: outputs) }
      }
    }
  }
}
