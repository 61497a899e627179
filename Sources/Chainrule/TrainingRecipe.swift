/// A network and how it is trained, for data whose size and targets are known: what a table gets where nothing is asked
/// for. docs/training.md gives the numbers' reasons.
///
///     let recipe = TrainingRecipe.recommended(forRows: 1000)
public struct TrainingRecipe: Sendable, Equatable {
  /// How features are scaled by the first layers, which become part of the model.
  public enum FeatureScaling: String, Sendable, CaseIterable {
    /// Not at all.
    case none
    /// (x - μ) / σ, every feature
    case standardize
    /// 4 tanh((x - μ) / 4σ), a smooth bound of ±4; features of 0 and 1 alone stay as they are, nearly: μ = 0, σ = 1.
    case bound
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
    hidden: [64], activation: .relu, weightsInitializer: .automatic, normalization: nil, dropout: 0,
    isResidual: false, featureScaling: .none, scalesTargets: false, optimizer: .adam(), batchSize: 32,
    epochs: 50, patience: nil, validation: 0.2)

  /// What was best on the validation rows of ten real tables, by the number of rows there are.
  public static func recommended(forRows rows: Int) -> TrainingRecipe {
    let held = rows < 50 ? 0 : 0.2
    let trained = max(1, rows - Int(Double(rows) * held))
    let batchSize = trained < 2048 ? 32 : trained < 8192 ? 64 : 128
    let steps = (trained + batchSize - 1) / batchSize
    return TrainingRecipe(
      hidden: [256, 256], activation: .relu, weightsInitializer: .automatic, normalization: nil, dropout: 0.1,
      isResidual: false, featureScaling: .bound, scalesTargets: true,
      optimizer: .adamw(learningRate: 0.001), batchSize: batchSize, epochs: max(200, (3000 + steps - 1) / steps),
      patience: held > 0 ? 20 : nil, validation: held)
  }

  /// The layers in front of the hidden ones.
  ///
  /// - Parameter areNumbers: Whether each feature may be any number, rather than 0 or 1 alone; nil: each may.
  /// - Throws: As ``Standardization/init(fitting:)``.
  public func scalingLayers<Scalar: NetworkScalar>(
    fitting rows: some BatchSource<Scalar>, areNumbers: [Bool]? = nil
  ) throws(ChainruleError) -> [Layer] {
    if featureScaling == .none { return [] }
    let fitted = try Standardization(fitting: rows)
    if featureScaling == .standardize {
      return [.scaling(Scaling(mean: fitted.mean, deviation: fitted.standardDeviation))]
    }
    let are = areNumbers ?? Array(repeating: true, count: fitted.mean.count)
    let bound = 4.0
    return [
      .scaling(
        Scaling(
          mean: zip(fitted.mean, are).map { $1 ? $0 : 0 },
          deviation: zip(fitted.standardDeviation, are).map { bound * ($1 ? $0 : 1) })),
      .activation(.tanh),
      .scaling(
        Scaling(
          mean: Array(repeating: 0, count: are.count), deviation: Array(repeating: 1 / bound, count: are.count))),
    ]
  }

  /// The hidden layers: each a dense one, normalised before its activation (Ioffe & Szegedy 2015), with dropout after it.
  /// β of batch normalisation makes b superfluous.
  public var hiddenLayers: [Layer] {
    hidden.indices.flatMap { index -> [Layer] in
      let width = hidden[index]
      var layers: [Layer] =
        switch normalization {
        case nil: [.dense(Dense(width, activation: activation, weightsInitializer: weightsInitializer))]
        case .batch:
          [
            .dense(Dense(width, bias: false, weightsInitializer: weightsInitializer)), .batchNorm(BatchNorm()),
            .activation(activation),
          ]
        case .layer:
          [
            .dense(Dense(width, weightsInitializer: weightsInitializer)), .layerNorm(LayerNorm()),
            .activation(activation),
          ]
        }
      if dropout > 0 { layers.append(.dropout(Dropout(dropout))) }
      if isResidual, index > 0, hidden[index - 1] == width { layers.append(.residual(span: layers.count)) }
      return layers
    }
  }

  /// The output layer.
  public func outputLayer(units: Int, activation: Activation) -> Layer {
    .dense(Dense(units, activation: activation, weightsInitializer: weightsInitializer))
  }
}
