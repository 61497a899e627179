internal import CChainrule

/// An activation of your own: a = f(x), element by element.
///
///     let square = CustomActivation(
///       "square", function: { $0.map { $0 * $0 } }, derivative: { $0.map { 2 * $0 } })
///     let network = try Network<Float>(inputs: 2) {
///       Dense(8)
///       square
///       Dense(1)
///     }
///
/// A step calls each function once, for the whole batch; a prediction once for every few dozen rows, from whatever task
/// predicts. They get zeros of padding among the others, and must return as many numbers as they get. A network with such a
/// layer cannot be saved.
///
/// Either may throw. What computes the network then throws, be it a step, an epoch, a prediction, an evaluation, a Jacobian or
/// a fit: the error itself if it is a `ChainruleError`, else `ChainruleError.callbackFailed` with its description; and
/// `.shapeMismatch` for another number of values. Nothing changes by the step that fails, the network goes on as before, and
/// ``Network/minimize(_:loss:method:iterations:tolerances:isolation:onIteration:)`` leaves it as it was. What a ``Predictor`` was
/// to fill then has some rows of its outputs.
public final class CustomActivation: Hashable, Sendable {
  /// What it is called.
  public let name: String
  let function, derivative: @Sendable ([Double]) throws -> [Double]

  /// f and f′.
  public init(
    _ name: String, function: @escaping @Sendable ([Double]) throws -> [Double],
    derivative: @escaping @Sendable ([Double]) throws -> [Double]
  ) {
    self.name = name
    self.function = function
    self.derivative = derivative
  }

  /// One function is equal to itself only.
  public static func == (left: CustomActivation, right: CustomActivation) -> Bool { left === right }

  /// The identity of the object.
  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}

extension CustomActivation: LayerKind {
  static let kind = chainrule_layer_kind.custom

  /// The core hands back the context that `describe` gave it.
  static func layer(_ core: chainrule_layer, scaling: () -> Scaling) -> Layer {
    .custom(Unmanaged<CustomActivation>.fromOpaque(core.context).takeUnretainedValue())
  }

  static func layer(from decoder: any Decoder) throws -> Layer { throw notCodable }

  var layer: Layer { .custom(self) }
  var words: String { name }

  func encode(to encoder: any Encoder) throws { throw Self.notCodable }

  private static let notCodable = ChainruleError.invalidArgument(
    message: "custom: an activation that is a Swift function cannot be written to a file or read from one")

  /// Without the functions, which depend on the scalar type.
  func describe(_ core: inout chainrule_layer) { core.context = Unmanaged.passUnretained(self).toOpaque() }
}

// MARK: - The core's callbacks

/// As the core calls f and f′: the context, the number of values, the values, the results.
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
