/// A network and its training, chosen for the size and the targets of the data: the defaults for a table.
/// docs/contributing/recommended-defaults.md gives the reasons for the numbers.
///
///     let recipe = TrainingRecipe.recommended(forRows: 1000)
public struct TrainingRecipe: Sendable, Equatable {
  /// The scaling of features by the first layers. Training does not change these layers. They are part of the
  /// model, which therefore takes the features as they are in the data.
  public enum FeatureScaling: String, Sendable, CaseIterable {
    /// No scaling.
    case none
    /// (x - μ) / σ, every feature
    case standardize
    /// Each number as z = (x - μ) / σ, limited to ±2, and piece by piece: min(max((z - l) / (h - l), 0), 1) -
    /// ½ for the pieces l … h between 17 quantiles of the training rows (Gorishniy, Rubachev & Babenko 2022).
    /// Features with only 0 and 1 do not change. Same as ``standardize`` if the pieces need more than 2²⁰
    /// weights.
    case pieces
  }

  /// The normalisation before the activation of each hidden layer.
  public enum Normalization: String, Sendable, CaseIterable {
    /// Normalise each neuron's sums over the rows of a batch.
    case batch
    /// Normalise each row's sums over the layer.
    case layer
  }

  /// The widths of the hidden layers, from first to last.
  public var hidden: [Int]
  /// The activation of the hidden layers.
  public var activation: Activation
  /// The initial values of the weights of every dense layer.
  public var weightsInitializer: Initializer
  /// Whether the dense layers have a bias b.
  public var hasBias: Bool
  /// The normalisation before the activation of each hidden layer; `nil` for none.
  public var normalization: Normalization?
  /// The dropout rate after each hidden layer.
  public var dropout: Double
  /// Whether to add the input of a hidden layer to its output, for each that is as wide as the one before.
  public var isResidual: Bool
  /// The scaling of the features.
  public var featureScaling: FeatureScaling
  /// Whether to standardise the targets of a regression for training. The model's predictions are in the
  /// units of the targets.
  public var scalesTargets: Bool
  /// The rule that turns gradients into updates.
  public var optimizer: Optimizer
  /// The number of rows of an update.
  public var batchSize: Int
  /// The maximum number of epochs.
  public var epochs: Int
  /// Training ends after this many epochs without a lower validation loss, and restores the parameters of the
  /// lowest; `nil`: it continues to the last epoch.
  public var patience: Int?
  /// The fraction of the rows for validation.
  public var validation: Double

  /// One hidden layer of 64 relu units, features as they are, trained by Adam in batches of 32 for 50 epochs.
  public static let plain = TrainingRecipe(
    hidden: [64], activation: .relu, weightsInitializer: .automatic, hasBias: true, normalization: nil,
    dropout: 0, isResidual: false, featureScaling: .none, scalesTargets: false, optimizer: .adam(),
    batchSize: 32,
    epochs: 50, patience: nil, validation: 0.2)

  /// For ``Network/minimize(_:loss:method:iterations:tolerances:isolation:onIteration:)``: few smooth units,
  /// and nothing that depends on batches.
  public static let fullBatch: TrainingRecipe = {
    var recipe = plain
    (recipe.hidden, recipe.activation) = ([16], .tanh)
    (recipe.featureScaling, recipe.scalesTargets) = (.standardize, true)
    return recipe
  }()

  /// Returns the recipe that performed best, for this number of rows, on the validation rows of ten real
  /// tables and on seven small sets.
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

  /// Designs the network for the given training rows.
  ///
  /// - Parameters:
  ///   - rows: The training rows.
  ///   - output: The activation of the output layer.
  ///   - loss: The loss to minimise; `nil` for the usual loss of `output`.
  ///   - areNumbers: Whether each feature may be any number, not only 0 or 1; `nil`: decided by its values in
  ///     the training rows.
  ///   - areClasses: Whether the targets are one-hot classes.
  /// - Throws: The errors of `Standardization(fitting:)`.
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

  /// The untrained layers before the hidden ones.
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
        // hardTanh of this is -1 below the piece, and 1 above it.
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

  /// The hidden layers: each a dense layer, normalised before its activation (Ioffe & Szegedy 2015), then
  /// dropout. β of batch normalisation makes b superfluous.
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

/// The layers of a recipe's network, designed for its training rows, with the initial parameters that are not
/// random.
public struct NetworkDesign: Sendable, Equatable {
  /// The first layers, which training does not change.
  public let fixed: [FixedLayer]
  /// The trained layers after those.
  public let layers: [Layer]
  /// μ and σ that scale the network's outputs back, so that it predicts targets in their own units; `nil` for
  /// none.
  public let targetScaling: Standardization?
  /// The loss to minimise.
  public let loss: Loss

  init(fixed: [FixedLayer], layers: [Layer], targetScaling: Standardization?, loss: Loss) {
    self.fixed = fixed
    self.layers = layers
    self.targetScaling = targetScaling
    self.loss = loss
  }

  /// The design of an existing network: training does not change the scaling layers at its beginning, nor a
  /// dense layer of pieces between two of them; see ``TrainingRecipe/FeatureScaling/pieces``.
  ///
  /// - Parameters:
  ///   - model: A model trained by this library.
  ///   - loss: The loss; `nil` for the usual loss of the output activation.
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

  /// Returns whether targets may be scaled: whether the output can reach any number, and the loss has no
  /// requirement on them.
  public static func mayScaleTargets(_ output: Activation, _ loss: Loss, areClasses: Bool) -> Bool {
    output == .identity && !areClasses && loss != .hinge && loss != .poisson
  }

  /// The factors of the learning rate that freeze the first layers.
  public var layerRates: [Int: Double] {
    Dictionary(uniqueKeysWithValues: fixed.indices.map { ($0, 0) })
  }

  /// Creates the network, with the names of `data`.
  ///
  /// - Throws: The errors of ``Network/init(inputs:layers:targetScaling:seed:kernelSet:)``.
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

/// A layer that training does not change, with its parameters.
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

/// The values of each feature in some rows: up to 2²⁴ in all, every k-th if there are more.
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

  /// Returns the pieces between the distinct standardised values of a feature, or between 17 of their
  /// quantiles if there are more than 17 values.
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
  /// The usual output activation for such targets: softmax for classes, sigmoid for labels, identity for
  /// numbers.
  public var outputActivation: Activation {
    switch kind {
    case .classes: .softmax
    case .labels: .sigmoid
    case .numbers: .identity
    }
  }
}
