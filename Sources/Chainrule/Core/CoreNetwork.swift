internal import CChainrule

/// Owns a network of the core. It is Sendable because its owners only read it: a ``Model`` never changes it,
/// and a ``Network``, which does, guards its own with ``Exclusivity`` and is not Sendable.
final class CoreNetwork<Scalar: NetworkScalar>: @unchecked Sendable {
  let pointer: OpaquePointer
  let functions: CoreFunctions<Scalar>
  /// The objects that the contexts of custom layers point to.
  private let activations: [CustomActivation]

  /// Takes ownership of `pointer`, whose scalar type must be `Scalar`, and keeps the activations of its
  /// custom layers.
  init(owning pointer: OpaquePointer, activations: [CustomActivation] = []) {
    self.pointer = pointer
    self.activations = activations
    functions = Scalar.coreFunctions
    assert(chainrule_network_scalar(pointer) == functions.scalar)
  }

  convenience init(inputs: Int, layers: [Layer], kernelSet: String? = nil) throws(ChainruleError) {
    guard inputs >= 0 else {
      throw .invalidNetwork(
        layer: nil, reason: "the network has \(inputs) inputs; expected 1 to \(Int32.max)")
    }
    for (index, layer) in layers.enumerated() {
      if let reason = layer.kind.objection(at: index) {
        throw .invalidNetwork(layer: index + 1, reason: reason)
      }
    }
    let coreLayers = layers.map { layer in
      var core = layer.core
      guard case .custom = layer else { return core }
      core.function = Scalar.customFunction
      core.derivative = Scalar.customDerivative
      return core
    }
    let activations = layers.compactMap { if case .custom(let activation) = $0 { activation } else { nil } }
    var pointer: OpaquePointer?
    try check { error in
      coreLayers.withUnsafeBufferPointer { layers in
        withOptionalCString(kernelSet) { kernelSet in
          var description = chainrule_network_description(
            struct_size: MemoryLayout<chainrule_network_description>.size,
            layer_size: MemoryLayout<chainrule_layer>.size,
            scalar: Scalar.coreFunctions.scalar, inputs: inputs, layer_count: layers.count,
            layers: layers.baseAddress, kernel_set: kernelSet)
          return chainrule_network_create(&description, &pointer, &error)
        }
      }
    }
    self.init(owning: pointer!, activations: activations)
    for case (let layer, .scaling(let scaling)) in layers.enumerated() {
      try set(.mean, ofLayer: layer, to: scaling.mean.map { Scalar($0) })
      try set(.deviation, ofLayer: layer, to: scaling.deviation.map { Scalar($0) })
    }
  }

  deinit { chainrule_network_free(pointer) }

  func copy() throws(ChainruleError) -> CoreNetwork {
    var copy: OpaquePointer?
    try check { chainrule_network_copy(pointer, &copy, &$0) }
    return CoreNetwork(owning: copy!, activations: activations)
  }

  func fold() throws(ChainruleError) -> CoreNetwork {
    var folded: OpaquePointer?
    try check { chainrule_network_fold(pointer, &folded, &$0) }
    return CoreNetwork(owning: folded!, activations: activations)
  }

  func initialize(seed: UInt64) throws(ChainruleError) {
    try check { chainrule_network_initialize(pointer, seed, &$0) }
  }

  /// Throws for parameters that are infinite because their initializer's numbers, in double precision,
  /// overflow `Scalar`.
  func checkInitialValues(of layers: [Layer]) throws(ChainruleError) {
    for case (let index, .dense(let dense)) in layers.enumerated() {
      let values = [dense.weightsInitializer, dense.biasInitializer].map { abs($0.core.value) }
      // Smaller values draw numbers that are finite in any scalar type.
      guard values.contains(where: { $0 > 1e30 }) else { continue }
      let parameters = try parameters(ofLayer: index)
      for (name, values) in [("weights", parameters.weights), ("bias", parameters.bias ?? [])] {
        guard let place = values.firstIndex(where: { !$0.isFinite }) else { continue }
        throw .invalidNetwork(
          layer: index + 1,
          reason:
            "layer \(index + 1), \(name): the initial value \(place + 1) is infinite in \(Scalar.scalarType.rawValue); "
            + "expected an initializer with smaller numbers")
      }
    }
  }

  var inputs: Int { chainrule_network_inputs(pointer) }
  var outputs: Int { chainrule_network_outputs(pointer) }
  var parameterCount: Int { chainrule_network_parameter_count(pointer) }
  var kernelSet: String { String(cString: chainrule_network_kernel_set(pointer)) }

  var layers: [Layer] {
    (0..<chainrule_network_layer_count(pointer)).map { index in
      let core = description(ofLayer: index)
      return Layer(core) {
        let parameters = try? parameters(ofLayer: index)
        return Scaling(
          mean: parameters?.mean?.map { Double($0) } ?? [],
          deviation: parameters?.deviation?.map { Double($0) } ?? [])
      }
    }
  }

  /// Whether the last layer is a target scaling, which losses leave out.
  private var scalesTargets: Bool {
    let count = chainrule_network_layer_count(pointer)
    return count > 1 && description(ofLayer: count - 1).kind == .scaling
  }

  /// The number of layers in a training step: all but a target scaling.
  var trainedLayerCount: Int { chainrule_network_layer_count(pointer) - (scalesTargets ? 1 : 0) }

  var outputActivation: Activation {
    // Dropout has no effect in predictions.
    let last = (0..<trainedLayerCount).last { description(ofLayer: $0).kind != .dropout }
    return last.map { Activation(description(ofLayer: $0).activation) } ?? .identity
  }

  var targetScaling: Standardization? {
    guard scalesTargets, let parameters = try? parameters(ofLayer: trainedLayerCount),
      let mean = parameters.mean, let deviation = parameters.deviation
    else { return nil }
    return try? Standardization(
      mean: zip(mean, deviation).map { 0 - Double($0) / Double($1) },
      standardDeviation: deviation.map { 1 / Double($0) })
  }

  private func description(ofLayer index: Int) -> chainrule_layer {
    var layer = chainrule_layer()
    let status = chainrule_network_layer(pointer, index, &layer, MemoryLayout<chainrule_layer>.size, nil)
    precondition(status == .ok)
    return layer
  }
}

// MARK: - Files

extension CoreNetwork {
  /// Writes a model file, which replaces any file at `path`.
  func save(to path: String) throws(ChainruleError) {
    try check(path: path) { chainrule_network_save(pointer, path, &$0) }
  }
}

// MARK: - Parameters

extension CoreNetwork {
  /// Returns the number of trainable parameters of a layer.
  func parameterCount(ofLayer layer: Int) -> Int {
    [chainrule_parameter.weights, .bias, .gamma, .beta]
      .reduce(0) { $0 + chainrule_network_parameter_size(pointer, layer, $1) }
  }

  /// Returns the sizes of the layer's input and output. `layer` counts from 0.
  func shape(ofLayer layer: Int) throws(ChainruleError) -> (inputs: Int, units: Int) {
    let count = chainrule_network_layer_count(pointer)
    guard (0..<count).contains(layer) else {
      throw .invalidValue(name: "layer", value: "\(layer)", expected: "0 to \(count - 1)")
    }
    return (
      layer == 0 ? inputs : description(ofLayer: layer - 1).units, description(ofLayer: layer).units
    )
  }

  func parameters(ofLayer layer: Int) throws(ChainruleError) -> LayerParameters<Scalar> {
    let (inputs, units) = try shape(ofLayer: layer)
    var parameters = LayerParameters<Scalar>(inputs: inputs, units: units)
    for parameter in chainrule_parameter.all {
      let count = chainrule_network_parameter_size(pointer, layer, parameter)
      if count > 0 { parameters[parameter] = try get(parameter, ofLayer: layer, count: count) }
    }
    return parameters
  }

  /// Copies all parameters and statistics of a network with the same layers, rounded or widened to `Scalar`.
  func setParameters<Other>(of other: CoreNetwork<Other>) throws(ChainruleError) {
    for layer in layers.indices {
      try setParameters(other.parameters(ofLayer: layer).converted(to: Scalar.self), ofLayer: layer)
    }
  }

  func setParameters(_ parameters: LayerParameters<Scalar>, ofLayer layer: Int) throws(ChainruleError) {
    let (inputs, units) = try shape(ofLayer: layer)
    guard parameters.inputs == inputs else {
      throw .shapeMismatch(
        what: "inputs of layer \(layer + 1)", expected: inputs, actual: parameters.inputs)
    }
    guard parameters.units == units else {
      throw .shapeMismatch(what: "units of layer \(layer + 1)", expected: units, actual: parameters.units)
    }
    for parameter in chainrule_parameter.all {
      let isThere = chainrule_network_parameter_size(pointer, layer, parameter) > 0
      guard isThere != (parameters[parameter] != nil) else { continue }
      throw .invalidArgument(
        message: "layer \(layer + 1) has \(isThere ? "a" : "no") \(parameter.name); "
          + "the parameters given have \(isThere ? "none" : "one")")
    }
    // A failed call changes nothing, so the last array needs no backup: the weights, the largest one.
    var before: [(chainrule_parameter, [Scalar])] = []
    do throws(ChainruleError) {
      for parameter in chainrule_parameter.all.reversed() {
        guard let values = parameters[parameter] else { continue }
        if parameter != .weights {
          before.append((parameter, try get(parameter, ofLayer: layer, count: values.count)))
        }
        try set(parameter, ofLayer: layer, to: values)
      }
    } catch {
      for (parameter, values) in before { try set(parameter, ofLayer: layer, to: values) }
      throw error
    }
  }

  private func get(
    _ parameter: chainrule_parameter, ofLayer layer: Int, count: Int
  ) throws(ChainruleError) -> [Scalar] {
    var values = [Scalar](repeating: 0, count: count)
    try check { error in
      values.withUnsafeMutableBufferPointer {
        functions.get(pointer, layer, parameter, $0.baseAddress, count, &error)
      }
    }
    return values
  }

  fileprivate func set(
    _ parameter: chainrule_parameter, ofLayer layer: Int, to values: [Scalar]
  ) throws(ChainruleError) {
    try check { error in
      values.withUnsafeBufferPointer {
        functions.set(pointer, layer, parameter, $0.baseAddress, values.count, &error)
      }
    }
  }
}

// MARK: - Names

extension CoreNetwork {
  func names(_ which: chainrule_names) -> [String]? {
    let count = chainrule_network_name_count(pointer, which)
    guard count > 0 else { return nil }
    return (0..<count).map { String(cString: chainrule_network_name(pointer, which, $0)) }
  }

  func setNames(_ which: chainrule_names, to names: [String]?) throws(ChainruleError) {
    let names = names ?? []
    if let cut = names.first(where: { $0.utf8.contains(0) }) {
      throw .invalidValue(
        name: "a name", value: "\"\(cut)\"",
        expected: "a text without a null character, where C would cut it short")
    }
    try check { error in
      withArrayOfCStrings(names) { chainrule_network_set_names(pointer, which, $0, names.count, &error) }
    }
  }
}

extension CoreNetwork {
  /// Copies those names of a data set's columns and classes that the network does not have yet.
  func adoptMissingNames(of data: Dataset<Scalar>) throws(ChainruleError) {
    guard data.inputs == inputs, data.outputs == outputs else { return }
    if names(.features) == nil { try setNames(.features, to: data.featureNames) }
    // Outputs have either target names or class labels.
    guard names(.targets) == nil, names(.classes) == nil else { return }
    try setNames(.targets, to: data.targetNames)
    try setNames(.classes, to: data.classLabels)
  }
}

// MARK: - Metadata

extension CoreNetwork {
  /// The text that copies, model files and checkpoints of the network include; `nil` if there is none.
  var metadata: String? { chainrule_network_metadata(pointer).map { String(cString: $0) } }

  /// Replaces ``metadata``; `nil` or an empty text removes it.
  ///
  /// - Throws: `ChainruleError.invalidArgument` for a null character, and for more than 100,000,000 bytes.
  func setMetadata(_ text: String?) throws(ChainruleError) {
    guard var text else { return try check { chainrule_network_set_metadata(pointer, nil, 0, &$0) } }
    try check { error in
      text.withUTF8 { utf8 in
        utf8.withMemoryRebound(to: CChar.self) {
          chainrule_network_set_metadata(pointer, $0.baseAddress, $0.count, &error)
        }
      }
    }
  }
}

private func withOptionalCString<Result>(
  _ string: String?, _ body: (UnsafePointer<CChar>?) -> Result
) -> Result {
  if let string { string.withCString(body) } else { body(nil) }
}

/// Calls `body` with the strings as C strings, consecutive in one buffer.
private func withArrayOfCStrings<Result>(
  _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> Result
) -> Result {
  var bytes: [CChar] = []
  let starts = strings.map { string in
    defer { bytes += string.utf8CString }
    return bytes.count
  }
  return bytes.withUnsafeBufferPointer { buffer in
    starts.map { buffer.baseAddress! + $0 }.withUnsafeBufferPointer { pointers in
      pointers.withMemoryRebound(to: UnsafePointer<CChar>?.self) { body($0.baseAddress) }
    }
  }
}

// MARK: - Prediction

/// The maximum number of rows that a prediction processes at once: large enough to reuse the weights in the
/// cache, small enough to keep the activations there.
private let stripRows = 256

extension CoreNetwork {
  /// The error for an empty prediction.
  var noRow: ChainruleError {
    .invalidValue(
      name: "the number of rows to predict", value: "0", expected: "at least 1, of \(inputs) values each")
  }

  /// Returns the number of bytes of scratch memory for predicting `rows` rows.
  func scratchSize(rows: Int) -> Int {
    chainrule_network_scratch_size(pointer, min(max(rows, 1), stripRows))
  }

  func predict(
    _ x: UnsafeBufferPointer<Scalar>, rows: Int, into outputs: UnsafeMutableBufferPointer<Scalar>,
    scratch: UnsafeMutableRawBufferPointer
  ) throws(ChainruleError) {
    try check { error in
      functions.predict(
        pointer, x.baseAddress, rows, outputs.baseAddress, scratch.baseAddress, scratch.count, &error)
    }
  }

  /// Returns the number of rows of x, rows × inputs.
  func rows(of x: [Scalar]) throws(ChainruleError) -> Int {
    let inputs = inputs
    guard !x.isEmpty else { throw noRow }
    guard x.count % inputs == 0 else {
      throw .shapeMismatch(
        what: "values of a prediction's inputs, to be a multiple of the network's inputs", expected: inputs,
        actual: x.count)
    }
    return x.count / inputs
  }

  /// Returns the outputs, rows × outputs, for the features of `data`.
  func predict(_ data: Dataset<Scalar>) throws(ChainruleError) -> [Scalar] {
    guard data.inputs == inputs else {
      throw .shapeMismatch(what: "the data's features", expected: inputs, actual: data.inputs)
    }
    return try predict(data.features)
  }

  /// Returns the outputs, rows × outputs, for x, rows × inputs.
  func predict(_ x: [Scalar]) throws(ChainruleError) -> [Scalar] {
    let rows = try rows(of: x)
    var outputs = try [Scalar](
      repeating: 0, count: rows * self.outputs, for: "\(self.outputs) outputs of \(rows) rows")
    try withScratch(rows: rows) { scratch, error in
      x.withUnsafeBufferPointer { x in
        outputs.withUnsafeMutableBufferPointer { outputs in
          functions.predict(
            pointer, x.baseAddress, rows, outputs.baseAddress, scratch.baseAddress, scratch.count, &error)
        }
      }
    }
    return outputs
  }

  func loss(_ loss: Loss, on data: Dataset<Scalar>) throws(ChainruleError) -> Double {
    var value = 0.0
    try withScratch(rows: data.rows) { scratch, error in
      data.withUnsafePointers { x, y, sampleWeights in
        functions.loss(
          pointer, loss.core, x, y, sampleWeights, data.rows, scratch.baseAddress, scratch.count, &value,
          &error)
      }
    }
    return value
  }

  /// Runs a call of the core with scratch memory for `rows` rows, on the stack if it is small.
  private func withScratch(
    rows: Int, _ call: (UnsafeMutableRawBufferPointer, inout chainrule_error) -> chainrule_status
  ) throws(ChainruleError) {
    let size = scratchSize(rows: rows)
    try checkMemory(size, of: UInt8.self, for: "the layers' outputs for \(rows) rows")
    try check { error in
      withUnsafeTemporaryAllocation(byteCount: size, alignment: 64) { call($0, &error) }
    }
  }

  func evaluate(_ data: Dataset<Scalar>, loss: Loss?) throws(ChainruleError) -> Evaluation {
    try checkFits(data)
    let loss = loss ?? Loss.default(for: outputActivation)
    let value = try self.loss(loss, on: data)
    return try Evaluation(
      loss: value, outputs: try predict(data.features), dataset: data, activation: outputActivation)
  }

  /// Evaluates batch by batch; `function` replaces `loss` if there is one.
  func evaluate(
    _ source: some BatchSource<Scalar>, loss: Loss?, function: LossFunction<Scalar>?
  ) throws(ChainruleError) -> Evaluation {
    let loss = loss ?? Loss.default(for: outputActivation)
    var sum = try EvaluationSum(activation: outputActivation)
    var batches = try source.makeBatches(of: stripRows)
    while let batch = try batches.next() {
      try checkFits(batch)
      let outputs = try predict(batch.features)
      let value =
        if let function {
          try self.value(of: function, outputs: outputs, data: batch)
        } else {
          try self.loss(loss, on: batch)
        }
      try sum.add(loss: value, outputs: outputs, of: batch)
    }
    return try sum.evaluation()
  }

  /// Computes L with a custom loss from predictions and the targets of `data`; with a target scaling, both in
  /// standardised units.
  func value(
    of function: LossFunction<Scalar>, outputs: [Scalar], data: Dataset<Scalar>
  ) throws(ChainruleError) -> Double {
    guard let scaling = targetScaling else {
      return try function.value(outputs: outputs, targets: data.targets, of: data)
    }
    return try function.value(
      outputs: try scaling.transform(outputs), targets: try scaling.transform(data.targets), of: data)
  }

  func checkFits(_ data: Dataset<Scalar>) throws(ChainruleError) {
    guard data.inputs == inputs else {
      throw .shapeMismatch(what: "the data's features", expected: inputs, actual: data.inputs)
    }
    guard data.outputs == outputs else {
      throw .shapeMismatch(what: "the data's targets", expected: outputs, actual: data.outputs)
    }
  }
}

extension Dataset {
  /// Calls `body` with the features, the targets and, if there are any, the sample weights, in the core's
  /// layout.
  func withUnsafePointers<Result>(
    _ body: (UnsafePointer<Scalar>?, UnsafePointer<Scalar>?, UnsafePointer<Scalar>?) -> Result
  ) -> Result {
    features.withUnsafeBufferPointer { x in
      targets.withUnsafeBufferPointer { y in
        guard let sampleWeights else { return body(x.baseAddress, y.baseAddress, nil) }
        return sampleWeights.withUnsafeBufferPointer { body(x.baseAddress, y.baseAddress, $0.baseAddress) }
      }
    }
  }
}
