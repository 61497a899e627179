internal import CChainrule

/// The largest difference between backpropagation and central differences, over all parameters of a network.
public struct GradientCheck: Equatable, Codable, Sendable {
  /// L of the data.
  @Figure public private(set) var loss: Double
  /// |gradient − slope| / max(|gradient|, |slope|, s / 1000), where s = max(|L|, the largest |gradient|).
  @Figure public private(set) var largestError: Double
  /// The layer of the parameter, counted from 0.
  public let layer: Int
  /// "weights", "bias", "gamma" or "beta".
  public let parameter: String
  /// The index of the value within the arrays of ``Network/parameters(ofLayer:)``.
  public let index: Int
  /// ∂L/∂p by backpropagation.
  @Figure public private(set) var gradient: Double
  /// (L(p + h) − L(p − h)) / 2h, h = ε^⅓ max(1, |p|).
  @Figure public private(set) var slope: Double
}

extension GradientCheck: CustomStringConvertible {
  /// One line: the error and its place.
  public var description: String {
    "largest error \(significant(largestError)) at layer \(layer + 1), \(parameter)[\(index)]: "
      + "gradient \(gradient), slope \(slope)"
  }
}

// All of these compute in prediction mode: a `BatchNorm` uses its running statistics, and a `Dropout` has no
// effect.
extension Network {
  /// Returns all parameters as one vector: layer by layer, W row by row, then b, or γ, then β. It does not
  /// include statistics.
  ///
  /// - Throws: `ChainruleError.busy` during training.
  public func parameterVector() throws(ChainruleError) -> [Scalar] {
    try exclusivity { () throws(ChainruleError) in try core.parameterVector() }
  }

  /// Replaces all parameters by a vector in the order of ``parameterVector()``.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` for another number than ``parameterCount``, `.notFinite` for
  ///   NaN or infinity, `.busy`. The network does not change then.
  public func setParameterVector(_ values: [Scalar]) throws(ChainruleError) {
    try exclusivity { () throws(ChainruleError) in try core.setParameterVector(values) }
  }

  /// Returns ∂a/∂x of every row, row-major rows × ``outputs`` × ``inputs``, where prediction computes a.
  ///
  /// - Throws: The errors of `predict(_:)`; `.outOfMemory`.
  public func inputJacobian(_ features: [Scalar]) throws(ChainruleError) -> [Scalar] {
    try exclusivity { () throws(ChainruleError) in try core.inputJacobian(features) }
  }

  /// Returns ∂a/∂p of every row, row-major rows × ``outputs`` × ``parameterCount``, p in the order of
  /// ``parameterVector()``.
  ///
  /// - Throws: The errors of `predict(_:)`; `.outOfMemory`.
  public func parameterJacobian(_ features: [Scalar]) throws(ChainruleError) -> [Scalar] {
    try exclusivity { () throws(ChainruleError) in try core.parameterJacobian(features) }
  }

  /// Returns ∂lᵣ/∂p of every row r's own loss, row-major rows × ``parameterCount``, p in the order of
  /// ``parameterVector()``. The gradient of a batch is their mean, weighted if the rows have weights: Σ wᵣ
  /// ∂lᵣ/∂p / Σ wᵣ.
  ///
  /// - Parameters:
  ///   - data: Any number of rows.
  ///   - loss: The loss; `nil` for that of the output layer, ``Loss/default(for:)``.
  /// - Throws: `ChainruleError.shapeMismatch` if the data do not fit, `.invalidNetwork` for a loss that does
  ///   not fit the output layer, `.invalidArgument` for targets that it cannot have, `.outOfMemory`, `.busy`.
  public func sampleGradients(
    on data: Dataset<Scalar>, loss: Loss? = nil
  ) throws(ChainruleError) -> [Scalar] {
    try exclusivity { () throws(ChainruleError) in try core.sampleGradients(on: data, loss: loss) }
  }

  /// Compares backpropagation with central differences for every parameter, in `Double` and in prediction
  /// mode.
  ///
  /// It computes two losses of all rows for each parameter, and is meant for a small network or few rows. If
  /// backpropagation is correct, the largest error is about 1e-7 or less. A kink, such as that of relu,
  /// within the step of a difference looks like an error but is not.
  ///
  /// - Parameters:
  ///   - data: Any number of rows.
  ///   - loss: The loss; `nil` for that of the output layer, ``Loss/default(for:)``.
  /// - Throws: The errors of ``sampleGradients(on:loss:)``; `.notFinite` if the loss is not finite,
  ///   `.invalidArgument` for a network without parameters.
  public func gradientCheck(
    on data: Dataset<Scalar>, loss: Loss? = nil
  ) throws(ChainruleError) -> GradientCheck {
    try exclusivity { () throws(ChainruleError) in try core.gradientCheck(on: data, loss: loss) }
  }
}

extension Model {
  /// Returns all parameters as one vector; see ``Network/parameterVector()``.
  public func parameterVector() throws(ChainruleError) -> [Scalar] { try core.parameterVector() }

  /// Returns ∂a/∂x of every row; see ``Network/inputJacobian(_:)``.
  public func inputJacobian(_ features: [Scalar]) throws(ChainruleError) -> [Scalar] {
    try core.inputJacobian(features)
  }

  /// Returns ∂a/∂p of every row; see ``Network/parameterJacobian(_:)``.
  public func parameterJacobian(_ features: [Scalar]) throws(ChainruleError) -> [Scalar] {
    try core.parameterJacobian(features)
  }

  /// Returns ∂lᵣ/∂p of every row's own loss; see ``Network/sampleGradients(on:loss:)``.
  public func sampleGradients(
    on data: Dataset<Scalar>, loss: Loss? = nil
  ) throws(ChainruleError) -> [Scalar] {
    try core.sampleGradients(on: data, loss: loss)
  }
}

extension CoreNetwork {
  fileprivate func parameterVector() throws(ChainruleError) -> [Scalar] {
    try values(parameterCount) { functions.getParameters(pointer, $0, $1, &$2) }
  }

  fileprivate func setParameterVector(_ values: [Scalar]) throws(ChainruleError) {
    guard values.count == parameterCount else {
      throw .shapeMismatch(what: "parameters", expected: parameterCount, actual: values.count)
    }
    try check { error in
      values.withUnsafeBufferPointer { functions.setParameters(pointer, $0.baseAddress, $0.count, &error) }
    }
  }

  fileprivate func inputJacobian(_ x: [Scalar]) throws(ChainruleError) -> [Scalar] {
    try jacobian(x, by: inputs, functions.inputJacobian)
  }

  fileprivate func parameterJacobian(_ x: [Scalar]) throws(ChainruleError) -> [Scalar] {
    try jacobian(x, by: parameterCount, functions.parameterJacobian)
  }

  private func jacobian(
    _ x: [Scalar], by width: Int, _ call: CoreFunctions<Scalar>.Jacobian
  ) throws(ChainruleError) -> [Scalar] {
    let rows = try self.rows(of: x)
    return try values(try size(rows, outputs, width)) { values, count, error in
      x.withUnsafeBufferPointer { call(pointer, $0.baseAddress, rows, values, count, &error) }
    }
  }

  fileprivate func sampleGradients(
    on data: Dataset<Scalar>, loss: Loss?
  ) throws(ChainruleError) -> [Scalar] {
    try checkFits(data)
    let loss = loss ?? Loss.default(for: outputActivation)
    return try values(try size(data.rows, 1, parameterCount)) { values, count, error in
      data.withUnsafePointers { x, y, _ in
        functions.sampleGradients(pointer, loss.core, x, y, data.rows, values, count, &error)
      }
    }
  }

  fileprivate func gradientCheck(
    on data: Dataset<Scalar>, loss: Loss?
  ) throws(ChainruleError) -> GradientCheck {
    try checkFits(data)
    let loss = loss ?? Loss.default(for: outputActivation)
    var found = chainrule_gradient_check()
    try check { error in
      data.withUnsafePointers {
        functions.checkGradient(pointer, loss.core, $0, $1, $2, data.rows, &found, &error)
      }
    }
    return GradientCheck(
      loss: found.loss, largestError: found.error, layer: found.layer, parameter: found.parameter.name,
      index: found.index, gradient: found.gradient, slope: found.slope)
  }

  /// Returns rows × outputs × width; throws if an array cannot be that long.
  private func size(_ rows: Int, _ outputs: Int, _ width: Int) throws(ChainruleError) -> Int {
    let (each, isHuge) = outputs.multipliedReportingOverflow(by: width)
    let (all, isLarger) = rows.multipliedReportingOverflow(by: each)
    guard !isHuge, !isLarger, all <= Int.max / 16 else {
      throw .outOfMemory(message: "no memory for \(rows) × \(outputs) × \(width) derivatives")
    }
    return all
  }

  /// Returns the `count` values that a call of the core writes.
  private func values(
    _ count: Int,
    _ call: (UnsafeMutablePointer<Scalar>?, Int, inout chainrule_error) -> chainrule_status
  ) throws(ChainruleError) -> [Scalar] {
    var values = [Scalar](repeating: 0, count: count)
    try check { error in
      values.withUnsafeMutableBufferPointer { call($0.baseAddress, count, &error) }
    }
    return values
  }
}
