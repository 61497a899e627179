internal import CChainrule
public import ChainrulePlatform

/// The parameters and statistics of one layer. Its kind determines which of them it has.
public struct LayerParameters<Scalar: NetworkScalar>: Equatable, Sendable {
  /// The size of the layer's input.
  public let inputs: Int
  /// The size of the layer's output: the number of neurons of a dense layer.
  public let units: Int
  /// W of a dense layer, row-major: units × inputs. Row j has the weights of neuron j. Empty for other kinds.
  public var weights: [Scalar]
  /// b of a dense layer, one value per neuron; `nil` for a layer without bias.
  public var bias: [Scalar]?
  /// γ of a normalisation. This array and those below have one value per feature.
  public var gamma: [Scalar]?
  /// β of a normalisation.
  public var beta: [Scalar]?
  /// The running mean of a `batchNorm`; the subtracted mean of a `scaling`.
  public var mean: [Scalar]?
  /// The running variance of a `batchNorm`, 0 or more.
  public var variance: [Scalar]?
  /// The divisor of a `scaling`, above 0.
  public var deviation: [Scalar]?

  /// Creates parameters. A network checks that they fit a layer when they are set.
  public init(
    inputs: Int, units: Int, weights: [Scalar] = [], bias: [Scalar]? = nil, gamma: [Scalar]? = nil,
    beta: [Scalar]? = nil, mean: [Scalar]? = nil, variance: [Scalar]? = nil, deviation: [Scalar]? = nil
  ) {
    self.inputs = inputs
    self.units = units
    self.weights = weights
    self.bias = bias
    self.gamma = gamma
    self.beta = beta
    self.mean = mean
    self.variance = variance
    self.deviation = deviation
  }

  subscript(parameter: chainrule_parameter) -> [Scalar]? {
    get {
      switch parameter {
      case .weights: weights.isEmpty ? nil : weights
      case .bias: bias
      case .gamma: gamma
      case .beta: beta
      case .mean: mean
      case .variance: variance
      case .deviation: deviation
      }
    }
    set {
      switch parameter {
      case .weights: weights = newValue ?? []
      case .bias: bias = newValue
      case .gamma: gamma = newValue
      case .beta: beta = newValue
      case .mean: mean = newValue
      case .variance: variance = newValue
      case .deviation: deviation = newValue
      }
    }
  }

  /// Returns the same numbers, rounded or widened to another type.
  package func converted<Other: NetworkScalar>(to: Other.Type) -> LayerParameters<Other> {
    if let same = self as? LayerParameters<Other> { return same }
    var other = LayerParameters<Other>(inputs: inputs, units: units)
    for parameter in chainrule_parameter.all { other[parameter] = self[parameter]?.map { Other($0) } }
    return other
  }
}

extension chainrule_parameter {
  static let all = (0..<UInt32(CHAINRULE_PARAMETER_COUNT)).map { chainrule_parameter(rawValue: $0)! }
  var name: String { String(cString: chainrule_parameter_name(self)) }
}

/// A dense network that can be trained.
///
///     let network = try Network<Float>(inputs: 64, seed: 42) {
///         Dense(128, activation: .relu)
///         Dense(10, activation: .softmax)
///     }
///
/// A network belongs to one task at a time. Training runs elsewhere while the task awaits it; other calls
/// during that time throw `ChainruleError.busy`. `Model(network)` copies the network into a ``Model``, which
/// never changes and can be shared by any number of tasks.
public final class Network<Scalar: NetworkScalar> {
  let core: CoreNetwork<Scalar>
  let exclusivity = Exclusivity()

  /// Creates a network and draws its initial parameters with the layers' initialisers.
  ///
  /// The same seed gives the same parameters; those of `Float` are the rounded values of `Double`.
  ///
  /// With a target scaling, predictions are in the units of the targets, and the network trains on
  /// standardised targets: with μ and σ of each target, a ``Scaling`` layer at the end computes a = σ x + μ,
  /// and every loss compares x, the output of the layer before, with (y - μ) / σ. A step gives the same
  /// parameters as a step of the network without that layer on standardised targets. Losses, and so learning
  /// rates and stopping conditions, are in standardised units; metrics such as
  /// ``Evaluation/rootMeanSquaredError`` are in the units of the targets.
  ///
  /// - Parameters:
  ///   - inputs: The number of features of a row, 1 … 2³¹ − 1.
  ///   - layers: The layers, from the first hidden layer to the output layer.
  ///   - targetScaling: μ and σ of each output, such as `Standardization(fitting: train.targets, columns:
  ///     1)`; `nil` for none.
  ///   - seed: The seed of the initial parameters.
  ///   - kernelSet: One of ``kernelSets``; `nil` for the one that the environment variable CHAINRULE_ISA
  ///     names, or else the best of this CPU.
  /// - Throws: `ChainruleError.invalidNetwork` for no layers, a layer without units, a hidden softmax layer,
  ///   an initializer whose values are infinite in `Scalar`, or a target scaling of another number of
  ///   outputs; `.notFinite` for a target scaling that overflows `Scalar`; `.invalidArgument` for a kernel
  ///   set that is not available; `.outOfMemory`. A trainer refuses a target scaling of a sigmoid output.
  public init(
    inputs: Int, layers: [Layer], targetScaling: Standardization? = nil, seed: UInt64 = 0,
    kernelSet: String? = nil
  ) throws(ChainruleError) {
    let last = targetScaling.map { [Layer.scaling(Scaling(targets: $0))] } ?? []
    core = try CoreNetwork(inputs: inputs, layers: layers + last, kernelSet: kernelSet)
    try core.initialize(seed: seed)
    try core.checkInitialValues(of: layers)
  }

  /// Creates a network of the layers in braces; see ``init(inputs:layers:targetScaling:seed:kernelSet:)``.
  ///
  /// - Throws: The errors of that initializer, and those thrown in the braces, for example by `try
  ///   Scaling(of: train)`; an error of another type becomes an `.invalidNetwork` that quotes it.
  public convenience init(
    inputs: Int, targetScaling: Standardization? = nil, seed: UInt64 = 0,
    @LayerBuilder layers: () throws -> [Layer]
  ) throws(ChainruleError) {
    let list: [Layer]
    do {
      list = try layers()
    } catch let error as ChainruleError {
      throw error
    } catch {
      throw .invalidNetwork(layer: nil, reason: "the layers could not be made: \(error)")
    }
    try self.init(inputs: inputs, layers: list, targetScaling: targetScaling, seed: seed)
  }

  /// Creates a network with a model's parameters, names and metadata.
  public init(_ model: Model<Scalar>) throws(ChainruleError) {
    core = try model.core.copy()
  }

  /// The number of features of a row.
  public var inputs: Int { core.inputs }
  /// The number of values of a prediction.
  public var outputs: Int { core.outputs }
  /// The layers that the network was created from, with initialisers resolved.
  public var layers: [Layer] { core.layers }
  /// The activation of the output layer: the last layer or, with a target scaling, the one before it.
  /// Identity if that layer has no activation.
  public var outputActivation: Activation { core.outputActivation }
  /// μ and σ of the targets, to the rounding of `Scalar`; `nil` if the last layer is not a target scaling.
  public var targetScaling: Standardization? { core.targetScaling }
  /// The number of trainable parameters.
  public var parameterCount: Int { core.parameterCount }
  /// The kernel set in use, one of ``kernelSets``.
  public var kernelSet: String { core.kernelSet }
  /// The names of the kernel sets that this CPU can run, best first: some of "avx512", "avx2",
  /// "baseline" and "gsl".
  public static var kernelSets: [String] {
    Array(
      sequence(state: 0) { index in
        defer { index += 1 }
        return chainrule_kernel_set_name(index).map { String(cString: $0) }
      })
  }

  /// Returns a copy of the parameters of layer `layer`, counted from 0.
  ///
  /// - Throws: `ChainruleError.invalidValue` if there is no such layer, `.busy` during training.
  public func parameters(ofLayer layer: Int) throws(ChainruleError) -> LayerParameters<Scalar> {
    try exclusivity { () throws(ChainruleError) in try core.parameters(ofLayer: layer) }
  }

  /// Replaces the parameters of layer `layer`, counted from 0.
  ///
  /// - Throws: The errors of ``parameters(ofLayer:)``; `.shapeMismatch` for parameters of a layer of another
  ///   size, `.invalidArgument` for a wrong number of values, `.notFinite` for NaN or infinity. The layer
  ///   does not change then.
  ///   as it was.
  public func setParameters(
    _ parameters: LayerParameters<Scalar>, ofLayer layer: Int
  ) throws(ChainruleError) {
    try exclusivity { () throws(ChainruleError) in
      try core.setParameters(parameters, ofLayer: layer)
    }
  }

  /// Returns the outputs, row-major rows × ``outputs``, for `features`, row-major rows × ``inputs``.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` if `features` are not whole rows, `.invalidValue` for no rows,
  ///   `.notFinite` for NaN or infinity in them, `.busy` during training, and the error of a
  ///   ``CustomActivation``.
  public func predict(_ features: [Scalar]) throws(ChainruleError) -> [Scalar] {
    try exclusivity { () throws(ChainruleError) in try core.predict(features) }
  }

  /// Returns the outputs for the features of `data`, and ignores its targets; see ``predict(_:)-([Scalar])``.
  public func predict(_ data: Dataset<Scalar>) throws(ChainruleError) -> [Scalar] {
    try exclusivity { () throws(ChainruleError) in try core.predict(data) }
  }

  /// Compares predictions with the targets of `data`.
  ///
  /// - Parameters:
  ///   - data: The rows and their targets.
  ///   - loss: The loss; `nil` for that of the output layer, ``Loss/default(for:)``.
  public func evaluate(_ data: Dataset<Scalar>, loss: Loss? = nil) throws(ChainruleError) -> Evaluation {
    try exclusivity { () throws(ChainruleError) in try core.evaluate(data, loss: loss) }
  }

  /// Compares predictions with the targets of a source, batch by batch. The loss and the metrics equal those
  /// of the same rows in one data set, to rounding.
  ///
  /// - Throws: The errors of ``evaluate(_:loss:)-(Dataset<Scalar>,_)``, and those of the source.
  public func evaluate(
    _ source: some BatchSource<Scalar>, loss: Loss? = nil
  ) throws(ChainruleError) -> Evaluation {
    try exclusivity { () throws(ChainruleError) in try core.evaluate(source, loss: loss, function: nil) }
  }

  /// Copies the names of a data set's columns and classes into the network. A model saved later includes
  /// them.
  public func adoptNames(of data: Dataset<Scalar>) throws(ChainruleError) {
    try exclusivity { () throws(ChainruleError) in
      try core.checkFits(data)
      try core.setNames(.features, to: data.featureNames)
      try core.setNames(.targets, to: data.targetNames)
      try core.setNames(.classes, to: data.classLabels)
    }
  }

  /// Writes the network to a model file; see ``Model/save(to:)-(String)``.
  ///
  /// - Throws: The errors of that method; `.busy` during training.
  public func save(to path: String) throws(ChainruleError) {
    try exclusivity { () throws(ChainruleError) in try core.save(to: path) }
  }

  /// Writes a model file; see ``save(to:)-(String)``.
  public func save(to url: URL) throws(ChainruleError) { try save(to: url.filePath()) }
}
