import Chainrule

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

  func network<Scalar>() throws -> Chainrule.Network<Scalar> {
    try Chainrule.Network(inputs: inputs, layers: layers, seed: 1)
  }

  func trainer<Scalar>(
    of network: Chainrule.Network<Scalar>, _ training: Training, threads: Int
  ) throws -> Chainrule.Trainer<Scalar> {
    try Chainrule.Trainer(
      network, loss: training.loss, optimizer: training.optimizer,
      options: TrainerOptions(shuffle: false, threads: threads))
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
