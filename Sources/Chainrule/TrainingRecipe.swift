/// A network and how it is trained, for data whose size and targets are known: what a table gets where nothing is asked
/// for. docs/contributing/recommended-defaults.md gives the reasons of its numbers.
///
///     let recipe = TrainingRecipe.recommended(forRows: 1000)
public struct TrainingRecipe: Sendable, Equatable {
  /// How features are scaled by the first layers, which training leaves as they are and which become part of the model:
  /// it takes the features as they stand in the data.
  public enum FeatureScaling: String, Sendable, CaseIterable {
    /// Not at all.
    case none
    /// (x - μ) / σ, every feature
    case standardize
    /// Each number as z = (x - μ) / σ, cut off at ±2, and piece by piece: min(max((z - l) / (h - l), 0), 1) - ½ for the
    /// pieces l … h between 17 quantiles of the training rows (Gorishniy, Rubachev & Babenko 2022). Features of 0 and 1
    /// stay as they are. Where that takes more than 2²⁰ weights, as ``standardize``.
    case pieces
  }

  /// What is normalised before the activation of each hidden layer.
  public enum Normalization: String, Sendable, CaseIterable {
    /// Each neuron's sums over the rows of a batch.
    case batch
    /// Each row's sums over the layer.
    case layer
  }

  /// The widths of the hidden layers, first to last.
  public var hidden: [Int]
  /// The activation of the hidden layers.
  public var activation: Activation
  /// How the weights of every dense layer get their first values.
  public var weightsInitializer: Initializer
  /// Whether the dense layers have a b.
  public var hasBias: Bool
  /// What is normalised before the activation of each hidden layer; nil: nothing.
  public var normalization: Normalization?
  /// The probability with which a hidden layer's output is dropped in training.
  public var dropout: Double
  /// Whether its input is added to the output of each hidden layer that is as wide as the one before.
  public var isResidual: Bool
  /// How features are scaled.
  public var featureScaling: FeatureScaling
  /// Whether the targets of a regression are standardised for training; the model predicts them as they are.
  public var scalesTargets: Bool
  /// How gradients become updates.
  public var optimizer: Optimizer
  /// The rows of an update.
  public var batchSize: Int
  /// The most epochs.
  public var epochs: Int
  /// Training ends after so many epochs without a lower validation loss, and takes the parameters of the lowest back;
  /// nil: it goes on to the last epoch.
  public var patience: Int?
  /// The fraction of the rows that is held out to validate on.
  public var validation: Double

  /// One hidden layer of 64 relu units on the features as they are, by Adam in batches of 32 for 50 epochs.
  public static let plain = TrainingRecipe(
    hidden: [64], activation: .relu, weightsInitializer: .automatic, hasBias: true, normalization: nil,
    dropout: 0, isResidual: false, featureScaling: .none, scalesTargets: false, optimizer: .adam(),
    batchSize: 32,
    epochs: 50, patience: nil, validation: 0.2)

  /// For ``Network/minimize(_:loss:method:iterations:tolerances:isolation:onIteration:)``: few smooth units, without what goes on
  /// between batches.
  public static let fullBatch: TrainingRecipe = {
    var recipe = plain
    (recipe.hidden, recipe.activation) = ([16], .tanh)
    (recipe.featureScaling, recipe.scalesTargets) = (.standardize, true)
    return recipe
  }()

  /// What was best on the validation rows of ten real tables, and on seven small sets, by the number of rows there are.
  public static func recommended(forRows rows: Int) -> TrainingRecipe {
    let (isTiny, isSmall) = (rows < 500, rows <= 8000)
    let batchSize = isTiny ? 32 : 128
    let updatesOfEpoch = max(1, (rows + batchSize - 1) / batchSize)
    return TrainingRecipe(
      hidden: isSmall ? [128, 128] : [256, 256], activation: isSmall ? .relu : .silu,
      weightsInitializer: .glorotUniform, hasBias: true, normalization: nil, dropout: 0.2, isResidual: false,
      featureScaling: isTiny ? .standardize : .pieces, scalesTargets: true,
      optimizer: .adamw(learningRate: 0.001, weightDecay: 0.01), batchSize: batchSize,
      epochs: max(200, (1000 + updatesOfEpoch - 1) / updatesOfEpoch), patience: isTiny ? 40 : 20,
      validation: rows < 50 ? 0 : 0.2)
  }

  /// The network for some rows to train on.
  ///
  /// - Parameters:
  ///   - rows: The rows to train on.
  ///   - output: The activation of the output layer.
  ///   - loss: What is to be made small; nil: the loss usual with `output`.
  ///   - areNumbers: Whether each feature may be any number, rather than 0 or 1 alone; nil: it may where its training
  ///     rows have another one.
  ///   - areClasses: Whether the targets are classes, one-hot.
  /// - Throws: As `Standardization(fitting:)`.
  public func design<Scalar: NetworkScalar>(
    for rows: some BatchSource<Scalar>, output: Activation, loss: Loss? = nil, areNumbers: [Bool]? = nil,
    areClasses: Bool = false
  ) throws(ChainruleError) -> NetworkDesign {
    let loss = loss ?? Loss.default(for: output)
    let scales = scalesTargets && NetworkDesign.mayScaleTargets(output, loss, areClasses: areClasses)
    return NetworkDesign(
      fixed: try scalingLayers(fitting: rows, areNumbers: areNumbers),
      layers: hiddenLayers + [outputLayer(units: rows.outputs, activation: output)],
      targetScaling: scales ? try Standardization(fittingTargetsOf: rows) : nil, loss: loss)
  }

  /// The layers in front of the hidden ones, which are not to be trained.
  private func scalingLayers<Scalar: NetworkScalar>(
    fitting rows: some BatchSource<Scalar>, areNumbers: [Bool]? = nil
  ) throws(ChainruleError) -> [FixedLayer] {
    if featureScaling == .none { return [] }
    let fitted = try Standardization(fitting: rows)
    let plain = FixedLayer(.scaling(Scaling(mean: fitted.mean, deviation: fitted.standardDeviation)))
    if featureScaling == .standardize { return [plain] }
    let sample = try FeatureSample(rows)
    let are = areNumbers ?? sample.areNumbers
    let inputs = fitted.mean.count
    let pieces = are.indices.map { are[$0] ? sample.pieces(of: $0, fitted) : [] }
    let units = inputs + pieces.reduce(0) { $0 + $1.count }
    guard units <= (1 << 20) / inputs else { return [plain] }

    var (weights, bias) = (
      [Double](repeating: 0, count: units * inputs), [Double](repeating: 0, count: units)
    )
    var deviation = [Double](repeating: 1, count: units)
    for feature in 0..<inputs {
      weights[feature * inputs + feature] = are[feature] ? 0.5 : 1
      if are[feature] { deviation[feature] = 0.5 }
    }
    var unit = inputs
    for (feature, pieces) in pieces.enumerated() {
      for piece in pieces {
        // hardTanh of this is -1 up to the piece, and 1 from its end on.
        weights[unit * inputs + feature] = 2 / (piece.upperBound - piece.lowerBound)
        bias[unit] = -2 * piece.lowerBound / (piece.upperBound - piece.lowerBound) - 1
        deviation[unit] = 2
        unit += 1
      }
    }
    let scaling = Scaling(
      mean: zip(fitted.mean, are).map { $1 ? $0 : 0 },
      deviation: zip(fitted.standardDeviation, are).map { $1 ? $0 : 1 })
    return [
      FixedLayer(.scaling(scaling)),
      FixedLayer(.dense(Dense(units, activation: .hardTanh)), weights: weights, bias: bias),
      FixedLayer(.scaling(Scaling(mean: Array(repeating: 0, count: units), deviation: deviation))),
    ]
  }

  /// The hidden layers: each a dense one, normalised before its activation (Ioffe & Szegedy 2015), with dropout after it.
  /// β of batch normalisation makes b superfluous.
  private var hiddenLayers: [Layer] {
    hidden.indices.flatMap { index -> [Layer] in
      let width = hidden[index]
      var layers: [Layer] =
        switch normalization {
        case nil: [dense(width, activation: activation)]
        case .batch:
          [
            .dense(Dense(width, bias: false, weightsInitializer: weightsInitializer)),
            .batchNorm(BatchNorm()),
            .activation(activation),
          ]
        case .layer:
          [
            dense(width, activation: .identity), .layerNorm(LayerNorm()), .activation(activation),
          ]
        }
      if dropout > 0 { layers.append(.dropout(Dropout(dropout))) }
      if isResidual, index > 0, hidden[index - 1] == width { layers.append(.residual(span: layers.count)) }
      return layers
    }
  }

  private func outputLayer(units: Int, activation: Activation) -> Layer {
    dense(units, activation: activation)
  }

  private func dense(_ units: Int, activation: Activation) -> Layer {
    .dense(Dense(units, activation: activation, bias: hasBias, weightsInitializer: weightsInitializer))
  }
}

/// The layers of a recipe's network, made for the rows it is to be trained on, and their first parameters where these are
/// not random.
public struct NetworkDesign: Sendable, Equatable {
  /// The layers in front, which training leaves as they are.
  public let fixed: [FixedLayer]
  /// The layers behind those, which are trained.
  public let layers: [Layer]
  /// What the network's outputs are scaled back by, so that it predicts targets in their own unit; nil: nothing.
  public let targetScaling: Standardization?
  /// What training makes small.
  public let loss: Loss

  init(fixed: [FixedLayer], layers: [Layer], targetScaling: Standardization?, loss: Loss) {
    self.fixed = fixed
    self.layers = layers
    self.targetScaling = targetScaling
    self.loss = loss
  }

  /// The design of a network that there is: training leaves the scaling layers in front as they are, and the dense layer
  /// of pieces between two of them, as ``TrainingRecipe/FeatureScaling/pieces`` has it.
  ///
  /// - Parameters:
  ///   - model: A model that this library has trained.
  ///   - loss: nil: the loss usual with the output activation.
  public init<Scalar: NetworkScalar>(of model: Model<Scalar>, loss: Loss? = nil) throws(ChainruleError) {
    targetScaling = model.targetScaling
    self.loss = loss ?? Loss.default(for: model.outputActivation)
    var rest = model.layers[...]
    if targetScaling != nil { rest = rest.dropLast() }
    var fixed: [FixedLayer] = []
    if case .scaling? = rest.first { fixed.append(FixedLayer(rest.removeFirst())) }
    if !fixed.isEmpty, rest.count > 2, case .dense(let pieces) = rest[rest.startIndex],
      pieces.activation == .hardTanh, case .scaling = rest[rest.startIndex + 1]
    {
      let parameters = try model.parameters(ofLayer: 1)
      fixed.append(
        FixedLayer(
          .dense(pieces), weights: parameters.weights.map { Double($0) },
          bias: parameters.bias?.map { Double($0) } ?? []))
      fixed.append(FixedLayer(rest[rest.startIndex + 1]))
      rest = rest.dropFirst(2)
    }
    self.fixed = fixed
    layers = Array(rest)
  }

  /// Whether targets may be scaled: numbers that the output may reach wherever they lie, by a loss that asks for nothing
  /// else.
  public static func mayScaleTargets(_ output: Activation, _ loss: Loss, areClasses: Bool) -> Bool {
    output == .identity && !areClasses && loss != .hinge && loss != .poisson
  }

  /// The factors of the trainer's learning rate that keep the first layers as they are.
  public var layerRates: [Int: Double] {
    Dictionary(uniqueKeysWithValues: fixed.indices.map { ($0, 0) })
  }

  /// The network, with the names of `data`.
  ///
  /// - Throws: As ``Network/init(inputs:layers:targetScaling:seed:kernelSet:)``.
  public func network<Scalar: NetworkScalar>(
    like data: Dataset<Scalar>, seed: UInt64 = 0
  ) throws(ChainruleError) -> Network<Scalar> {
    let network = try Network<Scalar>(
      inputs: data.inputs, layers: fixed.map(\.layer) + layers, targetScaling: targetScaling, seed: seed)
    for (index, layer) in fixed.enumerated() where !layer.weights.isEmpty {
      var parameters = try network.parameters(ofLayer: index)
      parameters.weights = layer.weights.map { Scalar($0) }
      parameters.bias = layer.bias.map { Scalar($0) }
      try network.setParameters(parameters, ofLayer: index)
    }
    try network.adoptNames(of: data)
    try network.setTrainingLoss(loss)
    return network
  }
}

/// A layer that training leaves as it is, with the parameters it has.
public struct FixedLayer: Sendable, Equatable {
  /// The layer.
  public let layer: Layer
  /// W of a dense layer, row-major units × inputs; empty for other kinds.
  public let weights: [Double]
  /// b of a dense layer.
  public let bias: [Double]

  init(_ layer: Layer, weights: [Double] = [], bias: [Double] = []) {
    self.layer = layer
    self.weights = weights
    self.bias = bias
  }
}

/// The values of each feature in some rows, up to 2²⁴ in all, every k-th where there are more.
private struct FeatureSample<Scalar: NetworkScalar> {
  private var columns: [[Scalar]]

  init(_ source: some BatchSource<Scalar>) throws(ChainruleError) {
    columns = Array(repeating: [], count: source.inputs)
    let most = max(1000, (1 << 24) / max(source.inputs, 1))
    let step = max(1, ((source.rowCount ?? most) + most - 1) / most)
    var batches = try source.checkedBatches(of: 1024)
    var row = 0
    while columns[0].count < most, let batch = try batches.next() {
      for local in 0..<batch.rows where (row + local) % step == 0 {
        for column in columns.indices {
          columns[column].append(batch.features[local * batch.inputs + column])
        }
      }
      row += batch.rows
    }
  }

  var areNumbers: [Bool] { columns.map { $0.contains { $0 != 0 && $0 != 1 } } }

  /// The pieces between the different standardised values of a feature where there are at most 17, or between 17 of their
  /// quantiles.
  func pieces(of column: Int, _ scaling: Standardization) -> [Range<Double>] {
    let values = columns[column].sorted()
    var edges: [Scalar] = []
    for value in values where edges.last != value {
      edges.append(value)
      if edges.count > 17 { break }
    }
    if edges.count > 17 {
      edges = []
      for index in 0...16 {
        let place = index * (values.count - 1) / 16
        if edges.last != values[place] { edges.append(values[place]) }
      }
    }
    let standardised = edges.map { (Double($0) - scaling.mean[column]) / scaling.standardDeviation[column] }
    return zip(standardised, standardised.dropFirst()).filter { $1 - $0 > 1e-6 }.map { $0..<$1 }
  }
}

extension TargetEncoding {
  /// The output layer's activation that is usual with such targets: softmax for classes, sigmoid for labels, identity for
  /// numbers.
  public var outputActivation: Activation {
    switch kind {
    case .classes: .softmax
    case .labels: .sigmoid
    case .numbers: .identity
    }
  }
}
