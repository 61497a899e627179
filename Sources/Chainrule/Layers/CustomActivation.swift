internal import CChainrule

/// A custom activation: a = f(x), element by element.
///
///     let square = CustomActivation(
///       "square", function: { $0.map { $0 * $0 } }, derivative: { $0.map { 2 * $0 } })
///     let network = try Network<Float>(inputs: 2) {
///       Dense(8)
///       square
///       Dense(1)
///     }
///
/// A step calls each function once, for the whole batch; a prediction calls it once for every few dozen rows,
/// in the task that predicts. The values include zeros of padding, and the functions must return as many
/// values as they receive. A network with such a layer cannot be saved.
///
/// Either function may throw. The call that computes the network (a step, an epoch, a prediction, an
/// evaluation, a Jacobian or a fit) then throws the error itself if it is a `ChainruleError`, else
/// `ChainruleError.callbackFailed` with its description. If a function returns another number of values, the
/// call throws `.shapeMismatch`. A failed step changes nothing, the network remains usable, and
/// ``Network/minimize(_:loss:method:iterations:tolerances:isolation:onIteration:)`` leaves it unchanged. A
/// ``Predictor`` may have written some rows of its outputs.
public final class CustomActivation: Hashable, Sendable {
  /// The name, for messages.
  public let name: String
  let function, derivative: @Sendable ([Double]) throws -> [Double]

  /// Creates an activation from f and f′.
  public init(
    _ name: String, function: @escaping @Sendable ([Double]) throws -> [Double],
    derivative: @escaping @Sendable ([Double]) throws -> [Double]
  ) {
    self.name = name
    self.function = function
    self.derivative = derivative
  }

  /// Compares identities: an activation is equal only to itself.
  public static func == (left: CustomActivation, right: CustomActivation) -> Bool { left === right }

  /// Hashes the identity of the object.
  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}

extension CustomActivation: LayerKind {
  static let kind = chainrule_layer_kind.custom

  /// The core returns the context that `describe` set.
  static func layer(_ core: chainrule_layer, scaling: () -> Scaling) -> Layer {
    .custom(Unmanaged<CustomActivation>.fromOpaque(core.context).takeUnretainedValue())
  }

  static func layer(from decoder: any Decoder) throws -> Layer { throw notCodable }

  var layer: Layer { .custom(self) }
  var words: String { name }

  func encode(to encoder: any Encoder) throws { throw Self.notCodable }

  private static let notCodable = ChainruleError.invalidArgument(
    message: "custom: an activation that is a Swift function cannot be written to a file or read from one")

  /// Sets only the context: the core's functions depend on the scalar type.
  func describe(_ core: inout chainrule_layer) { core.context = Unmanaged.passUnretained(self).toOpaque() }
}

// MARK: - The core's callbacks

/// The signature of f and f′ in the core: the context, the number of values, the values, the results.
typealias ElementwiseFunction =
  @convention(c) (
    UnsafeMutableRawPointer?, Int, UnsafeRawPointer?, UnsafeMutableRawPointer?
  ) -> Int32

extension NetworkScalar {
  static var customFunction: ElementwiseFunction {
    Self.scalarType == .float32
      ? { CustomActivation.call(Float.self, derivative: false, $0, $1, $2, $3) }
      : { CustomActivation.call(Double.self, derivative: false, $0, $1, $2, $3) }
  }

  static var customDerivative: ElementwiseFunction {
    Self.scalarType == .float32
      ? { CustomActivation.call(Float.self, derivative: true, $0, $1, $2, $3) }
      : { CustomActivation.call(Double.self, derivative: true, $0, $1, $2, $3) }
  }
}

extension CustomActivation {
  /// Applies f or f′ to `count` scalars.
  fileprivate static func call<Scalar: NetworkScalar>(
    _: Scalar.Type, derivative: Bool, _ context: UnsafeMutableRawPointer?, _ count: Int,
    _ z: UnsafeRawPointer?, _ result: UnsafeMutableRawPointer?
  ) -> Int32 {
    let activation = Unmanaged<CustomActivation>.fromOpaque(context!).takeUnretainedValue()
    let z = UnsafeBufferPointer(start: z!.assumingMemoryBound(to: Scalar.self), count: count)
    let result = UnsafeMutableBufferPointer(start: result!.assumingMemoryBound(to: Scalar.self), count: count)
    let name = "the \(derivative ? "derivative" : "function") of the activation \"\(activation.name)\""
    return CallbackFailure.keeping { () throws(ChainruleError) in
      let values = try calling(name) {
        try (derivative ? activation.derivative : activation.function)(z.map { Double($0) })
      }
      guard values.count == count else {
        throw .shapeMismatch(what: "values of \(name)", expected: count, actual: values.count)
      }
      for index in 0..<count { result[index] = Scalar(values[index]) }
    }
  }
}
