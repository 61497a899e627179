internal import CChainrule
public import ChainrulePlatform

/// A trained network that never changes. Any number of tasks can predict with it at once, and files store it.
///
///     let model = try Model(network)
///     try model.save(to: "digits.safetensors")
///     let outputs = try Model<Float>(contentsOf: "digits.safetensors").predict(row)
public struct Model<Scalar: NetworkScalar>: Sendable {
  let core: CoreNetwork<Scalar>

  init(core: CoreNetwork<Scalar>) { self.core = core }

  /// Copies `network` as it is now.
  ///
  /// - Throws: `ChainruleError.busy` during training, `.outOfMemory`.
  public init(_ network: Network<Scalar>) throws(ChainruleError) {
    core = try network.exclusivity { () throws(ChainruleError) in try network.core.copy() }
  }

  /// Uses a network that nothing else will change, without the copy of ``Model/init(_:)-(Network<Scalar>)``.
  package init(takingOver network: consuming Network<Scalar>) { core = network.core }

  /// The number of features of a row.
  public var inputs: Int { core.inputs }
  /// The number of values of a prediction.
  public var outputs: Int { core.outputs }
  /// The layers, from first to last.
  public var layers: [Layer] { core.layers }
  /// The activation of the output layer: the last layer or, with a target scaling, the one before it.
  /// Identity if that layer has no activation.
  public var outputActivation: Activation { core.outputActivation }
  /// μ and σ of the targets, to the rounding of `Scalar`; `nil` if the last layer is not a target scaling.
  public var targetScaling: Standardization? { core.targetScaling }
  /// The number of trainable parameters.
  public var parameterCount: Int { core.parameterCount }
  /// The names of the feature columns, in order; `nil` if the training data had none.
  public var featureNames: [String]? { core.names(.features) }
  /// The names of the outputs of a regression; `nil` if the training data had none.
  public var targetNames: [String]? { core.names(.targets) }
  /// The class of each output; `nil` if the outputs are not classes.
  public var classLabels: [String]? { core.names(.classes) }

  /// Returns a copy of the parameters of layer `layer`, counted from 0.
  public func parameters(ofLayer layer: Int) throws(ChainruleError) -> LayerParameters<Scalar> {
    try core.parameters(ofLayer: layer)
  }

  /// The sizes of the input and the output of layer `layer`, counted from 0.
  package func shape(ofLayer layer: Int) throws(ChainruleError) -> (inputs: Int, units: Int) {
    try core.shape(ofLayer: layer)
  }

  /// Returns the outputs, row-major rows × ``outputs``, for `features`, row-major rows × ``inputs``. A row's
  /// outputs do not depend on the other rows.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` if `features` are not whole rows, `.invalidValue` for no rows,
  ///   `.notFinite` for NaN or infinity in them, and the error of a ``CustomActivation``.
  public func predict(_ features: [Scalar]) throws(ChainruleError) -> [Scalar] {
    try core.predict(features)
  }

  /// Returns the outputs for the features of `data`, and ignores its targets; see ``predict(_:)-([Scalar])``.
  public func predict(_ data: Dataset<Scalar>) throws(ChainruleError) -> [Scalar] {
    try core.predict(data)
  }

  /// Returns a ``Predictor``, which predicts without allocating memory.
  public func predictor(rows: Int = 1) -> Predictor<Scalar> {
    Predictor(core: core, rows: rows)
  }

  /// Compares predictions with the targets of `data`.
  ///
  /// - Parameters:
  ///   - data: The rows and their targets.
  ///   - loss: The loss; `nil` for that of the output layer, ``Loss/default(for:)``.
  public func evaluate(_ data: Dataset<Scalar>, loss: Loss? = nil) throws(ChainruleError) -> Evaluation {
    try core.evaluate(data, loss: loss)
  }

  /// Returns a model with the same predictions, to rounding, and fewer layers. It has no `dropout`, and each
  /// `batchNorm` is merged into the dense layer before it, if that has no activation, or after it. For models
  /// that only predict.
  public func folded() throws(ChainruleError) -> Model {
    Model(core: try core.fold())
  }

  /// Compares predictions with the targets of a source, batch by batch, as the network's `evaluate(_:loss:)`
  /// does.
  public func evaluate(
    _ source: some BatchSource<Scalar>, loss: Loss? = nil
  ) throws(ChainruleError) -> Evaluation {
    try core.evaluate(source, loss: loss, function: nil)
  }

  /// Creates the same model with its parameters rounded, or widened, to `Scalar`.
  public init<Other: NetworkScalar>(_ other: Model<Other>) throws(ChainruleError) {
    core = try CoreNetwork(inputs: other.inputs, layers: other.layers)
    try core.setParameters(of: other.core)
    try core.setNames(.features, to: other.featureNames)
    try core.setNames(.targets, to: other.targetNames)
    try core.setNames(.classes, to: other.classLabels)
    try core.setMetadata(other.core.metadata)
  }
}

// MARK: - Files

extension Model {
  /// Reads a model file.
  ///
  /// - Throws: `ChainruleError.file` if the system refuses, `.invalidModel` for a damaged file or one of the
  ///   other scalar type; ``SavedModel`` reads either type.
  public init(contentsOf path: String) throws(ChainruleError) {
    let saved = try SavedModel(contentsOf: path)
    switch saved {
    case .float32(let model as Model<Scalar>): self = model
    case .float64(let model as Model<Scalar>): self = model
    default:
      throw .invalidModel(
        path: path, reason: "holds a \(saved.scalarType) model; expected \(Scalar.scalarType)")
    }
  }

  /// Reads a model file; see ``init(contentsOf:)-(String)``.
  public init(contentsOf url: URL) throws(ChainruleError) { try self.init(contentsOf: url.filePath()) }

  /// Writes the whole model to a safetensors file, which replaces any file at `path`. After a crash the file
  /// is either the old one or the new one.
  ///
  /// - Throws: `ChainruleError.file` if the system refuses; an earlier file does not change then.
  public func save(to path: String) throws(ChainruleError) {
    try core.save(to: path)
  }

  /// Writes a model file; see ``save(to:)-(String)``.
  public func save(to url: URL) throws(ChainruleError) { try save(to: url.filePath()) }
}

/// The model of a file, of either scalar type.
public enum SavedModel: Sendable {
  /// A model whose parameters are `Float`.
  case float32(Model<Float>)
  /// A model whose parameters are `Double`.
  case float64(Model<Double>)

  /// Reads a model file; throws the errors of ``Model/init(contentsOf:)-(String)``.
  public init(contentsOf path: String) throws(ChainruleError) {
    var pointer: OpaquePointer?
    try check(path: path) { chainrule_network_load(path, &pointer, &$0) }
    self.init(owning: pointer!)
    do throws(ChainruleError) {
      switch self {
      case .float32(let model): _ = try model.core.decodedTableEncoding()
      case .float64(let model): _ = try model.core.decodedTableEncoding()
      }
    } catch {
      throw .invalidModel(path: path, reason: "\(error)")
    }
  }

  /// Takes ownership of a network of the core.
  init(owning pointer: OpaquePointer) {
    switch chainrule_network_scalar(pointer) {
    case .float32: self = .float32(Model(core: CoreNetwork(owning: pointer)))
    case .float64: self = .float64(Model(core: CoreNetwork(owning: pointer)))
    }
  }

  /// The scalar type of the parameters.
  public var scalarType: ScalarType {
    switch self {
    case .float32: .float32
    case .float64: .float64
    }
  }
}

// MARK: - Prediction without allocation

/// Predicts with memory that it allocates once, so that a call allocates nothing. Only one task at a time can
/// use it; create one for each task.
public struct Predictor<Scalar: NetworkScalar>: ~Copyable {
  private let core: CoreNetwork<Scalar>
  private let scratch: UnsafeMutableRawBufferPointer

  init(core: CoreNetwork<Scalar>, rows: Int) {
    self.core = core
    scratch = .allocate(byteCount: core.scratchSize(rows: rows), alignment: 64)
  }

  deinit { scratch.deallocate() }

  /// Writes the outputs, rows × outputs, for `features`, rows × inputs.
  ///
  ///     var outputs = [Float](repeating: 0, count: model.outputs)
  ///     var span = outputs.mutableSpan
  ///     try predictor.predict(row.span, into: &span)
  ///
  /// - Throws: `ChainruleError.shapeMismatch` if `features` are not whole rows or `outputs` has another size,
  ///   `.invalidValue` for no rows, `.notFinite` for NaN or infinity in `features`, and the error of a
  ///   ``CustomActivation``.
  public mutating func predict(
    _ features: Span<Scalar>, into outputs: inout MutableSpan<Scalar>
  ) throws(ChainruleError) {
    var failure: ChainruleError?
    features.withUnsafeBufferPointer { features in
      outputs.withUnsafeMutableBufferPointer { outputs in
        do throws(ChainruleError) {
          try predict(features, into: outputs)
        } catch {
          failure = error
        }
      }
    }
    if let failure { throw failure }
  }

  /// Predicts as ``predict(_:into:)-(Span<Scalar>,_)`` does, for memory that belongs to C code, for example.
  public mutating func predict(
    _ features: UnsafeBufferPointer<Scalar>, into outputs: UnsafeMutableBufferPointer<Scalar>
  ) throws(ChainruleError) {
    let (rows, rest) = features.count.quotientAndRemainder(dividingBy: core.inputs)
    guard rows > 0 || rest > 0 else { throw core.noRow }
    guard rest == 0 else {
      throw .shapeMismatch(
        what: "values of a prediction's inputs, to be a multiple of the network's inputs",
        expected: core.inputs, actual: features.count)
    }
    guard outputs.count == rows * core.outputs else {
      throw .shapeMismatch(what: "outputs", expected: rows * core.outputs, actual: outputs.count)
    }
    try core.predict(features, rows: rows, into: outputs, scratch: scratch)
  }
}
