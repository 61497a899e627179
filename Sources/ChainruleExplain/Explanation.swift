import Chainrule

/// Training steps with every number that they compute: a step file, run.
///
/// The C core runs the steps. An explanation keeps their trace, so that a rendering can show how each number is computed.
/// Numbers of a float32 network are converted to float64, which is exact.
public struct Explanation: Sendable, Equatable {
  /// The name in the step file.
  public package(set) var name: String?
  /// The type that the network computes in.
  public let scalar: ScalarType
  /// The number of inputs.
  public let inputs: Int
  /// The layers, from the first hidden layer to the output layer.
  public let layers: [Chainrule.Layer]
  /// The loss that training minimizes.
  public let loss: Loss
  /// The rule of the updates.
  public let optimizer: Optimizer
  /// Label smoothing and gradient clipping.
  public let regularization: Regularization
  /// How the learning rate changes from step to step; nil for a constant one.
  public let schedule: Schedule?
  /// One training step each.
  public internal(set) var batches: [Batch]
  /// The last batch once more, after the last update.
  public let afterwards: Afterwards
  /// The agreement with the results that the step file expects, if it has any.
  public private(set) var agreement: Agreement?
  /// The names of a layer's parameters, where the step file gives them.
  let names: [StepFile.Names?]

  /// One training step.
  public struct Batch: Sendable, Equatable {
    /// x, [rows][inputs]
    public let x: [[Double]]
    /// y, [rows][outputs]
    public let y: [[Double]]
    /// w, [rows]; nil for equal weights
    public let sampleWeights: [Double]?
    /// l of each row, before the update.
    public let rowLosses: [Double]
    /// L, the mean of the row losses, before the update.
    public let loss: Double
    /// η of the update.
    public let learningRate: Double
    /// The trace of each layer.
    public internal(set) var layers: [Layer]
  }

  /// The trace of one layer in one step.
  public struct Layer: Sendable, Equatable {
    /// W and b, or γ and β, and the running statistics of a batchNorm, before the update.
    public let before: StepFile.Parameters
    /// z = W a + b, [rows][units]; of an activation its input, of a normalisation (x − μ)/√(σ² + ε), else a
    public let z: [[Double]]
    /// a = f(z), [rows][units]
    public let a: [[Double]]
    /// δ = ∂L/∂z of a layer with an activation, else ∂L/∂a; [rows][units]
    public let delta: [[Double]]
    /// ∂L/∂W and ∂L/∂b, or ∂L/∂γ and ∂L/∂β
    public let gradients: StepFile.Parameters
    /// What `before` holds, after the update.
    public let after: StepFile.Parameters
    /// What the optimizer keeps of each parameter after the update, by its symbol in the rule.
    public internal(set) var state: [State] = []
  }

  /// One number that an optimizer keeps of each parameter, such as the running mean m of adam.
  public struct State: Sendable, Equatable {
    /// The symbol in the rule, "m".
    public let name: String
    /// The numbers, as the parameters stand.
    public let values: StepFile.Parameters
  }

  /// What the network makes of the last batch after the last update, in training still: a batchNorm takes its
  /// statistics from the batch, and a dropout drops what it would drop in the next step.
  public struct Afterwards: Sendable, Equatable {
    /// L
    public let loss: Double
    /// The outputs, [rows][outputs].
    public let outputs: [[Double]]
  }

  /// The outputs, gradients and losses, as a golden file expects them.
  public var results: StepFile.Expect {
    StepFile.Expect(
      outputs: batches[0].layers.last!.a, gradients: batches[0].layers.map(\.gradients),
      losses: batches.map(\.loss), parametersAfter: batches.last!.layers.map(\.after))
  }
}

// MARK: - Running a step file

extension Explanation {
  /// Runs the steps of a step file, with its own numbers and nothing drawn at random.
  ///
  /// - Throws: `StepFileError` for a file that is wrong, or that asks for what this version does not have;
  ///   `ChainruleError` as from a `Trainer`.
  public init(_ stepFile: StepFile) throws {
    try stepFile.validate()
    switch try stepFile.scalarType {
    case .float64: try self.init(stepFile, as: Double.self)
    case .float32: try self.init(stepFile, as: Float.self)
    }
  }

  private init<Scalar: NetworkScalar>(_ stepFile: StepFile, as _: Scalar.Type) throws {
    layers = try stepFile.catalogueLayers
    loss = try stepFile.catalogueLoss
    optimizer = try stepFile.catalogueOptimizer
    regularization = stepFile.regularization
    schedule = stepFile.schedule
    name = stepFile.name
    names = stepFile.layers.map { $0.names?.lowered }
    scalar = Scalar.scalarType
    inputs = stepFile.inputs

    let network = try Network<Scalar>(stepFile)
    let (loss, optimizer, regularization) = (loss, optimizer, regularization)
    let trainer = try placing("training") {
      try Trainer(
        network, loss: loss, optimizer: optimizer,
        options: TrainerOptions(
          schedule: stepFile.schedule ?? .constant, regularization: regularization, seed: stepFile.seed ?? 0,
          recordsTrace: true))
    }
    batches = []
    for round in 0..<stepFile.rounds {
      for (number, batch) in zip(1..., stepFile.batches) {
        batches.append(try placing("batch \(number)") { try Batch(batch, trainer, loss) })
      }
      guard let bound = stepFile.untilLoss, round + 1 < stepFile.rounds else { continue }
      if try trainer.gradients(Dataset(stepFile.batches.last!)).loss <= bound { break }
    }
    let last = try trainer.gradients(Dataset(stepFile.batches.last!)).loss
    afterwards = Afterwards(loss: last, outputs: rows(try trainer.trace().last!.a, network.outputs))

    followState()
    if let expect = stepFile.expect { agreement = try Agreement(of: results, with: expect) }
  }
}

extension Network {
  /// The network of a step file, with its parameters.
  ///
  /// - Throws: `StepFileError` for a file that asks for what this version does not have; as
  ///   ``init(inputs:layers:targetScaling:seed:kernelSet:)`` and ``setParameters(_:ofLayer:)``.
  public convenience init(_ stepFile: StepFile) throws {
    let layers = try stepFile.catalogueLayers
    do throws(ChainruleError) {
      try self.init(inputs: stepFile.inputs, layers: layers, seed: stepFile.seed ?? 0)
    } catch {
      throw StepFileError(place: "layers", reason: "\(error)")
    }
    for (index, layer) in stepFile.layers.enumerated() {
      var parameters = try parameters(ofLayer: index)
      parameters.take(layer)
      try placing("layers") { try setParameters(parameters, ofLayer: index) }
    }
  }
}

/// What `body` returns; what it refuses in a step file lies at `place`. A number that overflowed in training does not.
private func placing<Result>(_ place: String, _ body: () throws -> Result) throws -> Result {
  do {
    return try body()
  } catch let error as ChainruleError {
    switch error {
    case .invalidValue, .invalidArgument, .invalidNetwork, .shapeMismatch, .badData:
      throw StepFileError(place: place, reason: "\(error)")
    default: throw error
    }
  }
}

extension Explanation.Batch {
  /// Trains one step on `batch` and keeps what was computed.
  fileprivate init<Scalar: NetworkScalar>(_ batch: StepFile.Batch, _ trainer: Trainer<Scalar>, _ loss: Loss)
    throws
  {
    let network = trainer.network
    let data = try Dataset<Scalar>(batch)
    x = rows(data.features, data.inputs)
    y = rows(data.targets, data.outputs)
    sampleWeights = data.sampleWeights?.map { Double($0) }

    let before = try network.allParameters()
    self.loss = try trainer.step(data)
    learningRate = trainer.learningRate
    let traces = try trainer.trace()
    rowLosses = try traces.last!.losses(
      loss, behind: network.layers.last!,
      targets: y.flatMap { loss.smoothed($0, trainer.options.regularization).map { Scalar($0) } })
    layers = zip(zip(before, try network.allParameters()), traces).map { parameters, trace in
      Explanation.Layer(
        before: parameters.0,
        z: rows(trace.z, trace.units), a: rows(trace.a, trace.units), delta: rows(trace.delta, trace.units),
        gradients: StepFile.Parameters(
          weights: trace.weightsGradient.isEmpty ? nil : rows(trace.weightsGradient, trace.inputs),
          bias: widened(trace.biasGradient), gamma: widened(trace.gammaGradient),
          beta: widened(trace.betaGradient)),
        after: parameters.1)
    }
  }
}

extension Network {
  fileprivate func allParameters() throws -> [StepFile.Parameters] {
    try layers.indices.map { layer in
      let parameters = try parameters(ofLayer: layer)
      // The mean of a scaling is given, not learned.
      return StepFile.Parameters(
        weights: parameters.weights.isEmpty ? nil : rows(parameters.weights, parameters.inputs),
        bias: widened(parameters.bias), gamma: widened(parameters.gamma), beta: widened(parameters.beta),
        mean: parameters.variance == nil ? nil : widened(parameters.mean),
        variance: widened(parameters.variance))
    }
  }
}

extension Loss {
  /// The targets of a row as the loss takes them.
  func smoothed(_ y: [Double], _ regularization: Regularization) -> [Double] {
    if self == .hinge { return y.map { $0 == 0 ? -1 : $0 } }
    let s = regularization.labelSmoothing
    return s == 0 ? y : y.map { (1 - s) * $0 + s / (self == .crossEntropy ? Double(y.count) : 2) }
  }
}

extension LayerParameters {
  /// Takes over what the step file gives.
  fileprivate mutating func take(_ layer: StepFile.Layer) {
    func rounded(_ values: [Double]?) -> [Scalar]? { values?.map { Scalar($0) } }
    weights = rounded(layer.weights?.flatMap(\.self)) ?? weights
    bias = rounded(layer.bias) ?? bias
    gamma = rounded(layer.gamma) ?? gamma
    beta = rounded(layer.beta) ?? beta
    mean = rounded(layer.mean) ?? mean
    variance = rounded(layer.variance) ?? variance
  }
}

extension LayerTrace {
  /// l of each row of an output layer, from its z where it has an activation.
  fileprivate func losses(_ loss: Loss, behind output: Layer, targets: [Scalar]) throws -> [Double] {
    let values =
      switch output {
      case .dense, .activation: z
      case .dropout, .batchNorm, .layerNorm, .scaling, .residual, .custom: a
      }
    let data = try Dataset(features: values, targets: targets, rows: rows, inputs: units, outputs: units)
    let network = try Network<Scalar>(inputs: units, layers: [.activation(output.activation)])
    return try (0..<rows).map { try network.evaluate(data[rows: $0..<$0 + 1], loss: loss).loss }
  }
}

extension Dataset {
  fileprivate init(_ batch: StepFile.Batch) throws {
    try self.init(
      features: batch.x.map { $0.map { Scalar($0) } }, targets: batch.y.map { $0.map { Scalar($0) } },
      sampleWeights: batch.sampleWeights?.map { Scalar($0) })
  }
}

/// The rows of a row-major matrix, widened.
private func rows<Scalar: NetworkScalar>(_ values: [Scalar], _ columns: Int) -> [[Double]] {
  stride(from: 0, to: values.count, by: columns).map { start in
    values[start..<start + columns].map { Double($0) }
  }
}

private func widened<Scalar: NetworkScalar>(_ values: [Scalar]?) -> [Double]? { values?.map { Double($0) } }
