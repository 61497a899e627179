import RealModule

// One notation throughout: x inputs, z = W a + b, a = f(z), y target, L loss, δ = ∂L/∂z.
// W is [out][in]: a row of weights is a neuron of the next layer.

/// The values of a forward pass, kept for the backward pass.
public struct Trace<Scalar: Real> {
  /// The inputs, [rows][inputs].
  public var x: [[Scalar]]
  /// Whether each dropout kept each value, [rows][features], by its layer.
  public var kept: [Int: [[Bool]]] = [:]
  /// z of each layer, [layer][rows][units]; a for a layer with neither f nor a normalisation.
  public var z: [[[Scalar]]] = []
  /// a of each layer, [layer][rows][units]; the last is the outputs.
  public var a: [[[Scalar]]] = []

  /// The activations of the last layer, [rows][outputs].
  public var outputs: [[Scalar]] { a.last! }

  /// Returns the input of layer l, [rows][inputs of the layer].
  func input(_ l: Int) -> [[Scalar]] { l == 0 ? x : a[l - 1] }
}

/// The gradient of one layer; parameters that its kind does not have are empty or `nil`.
public struct Gradient<Scalar: Real> {
  /// ∂L/∂W, [out][in]
  public var weights: [[Scalar]] = []
  /// ∂L/∂b, [out]
  public var bias: [Scalar]?
  /// ∂L/∂γ, [features]
  public var gamma: [Scalar]?
  /// ∂L/∂β, [features]
  public var beta: [Scalar]?
}

/// A sequence of layers.
public struct Network<Scalar: Real> {
  /// The layers, from the first hidden layer to the output layer.
  public var layers: [Layer<Scalar>]

  /// Creates a network. Each layer's input must have the size of the previous layer's output.
  public init(layers: [Layer<Scalar>]) {
    var width: Int?
    for (l, layer) in layers.enumerated() {
      if case .residual(let span) = layer.kind { precondition(span <= l, "a block begins with a layer") }
      guard let shape = layer.shape else { continue }
      precondition(width == nil || shape.inputs == width, "each layer fits the one before it")
      width = shape.outputs
    }
    self.layers = layers
  }

  /// Returns the first layer of the block that layer l ends; l itself if it is not a residual.
  private func start(ofBlock l: Int) -> Int {
    if case .residual(let span) = layers[l].kind { l - span } else { l }
  }

  /// A scaling after other layers: it converts predictions to the units of the targets and takes no part in
  /// training.
  private var targetScaling: Layer<Scalar>? {
    layers.count > 1 && layers.last!.isScaling ? layers.last! : nil
  }

  /// The layer whose a the loss compares with the targets.
  private var outputLayer: Int { layers.count - (targetScaling == nil ? 1 : 2) }

  /// Returns y, [rows][outputs], in the units of the output layer: if predictions are σ x + μ, (y − μ) / σ.
  private func standardized(_ y: [[Scalar]]) -> [[Scalar]] {
    guard let scaling = targetScaling else { return y }
    // (x − mean) / deviation = σ x + μ
    let σ = scaling.deviation!.map { 1 / $0 }
    let μ = zip(scaling.mean!, σ).map { -$0 * $1 }
    return y.map { row in row.indices.map { j in (row[j] - μ[j]) / σ[j] } }
  }

  /// Returns z and a of every layer for the rows of x, [rows][inputs], in training.
  ///
  /// - Parameters:
  ///   - x: The inputs, [rows][inputs].
  ///   - kept: Whether each dropout keeps each value, [rows][features], by its layer.
  @_specialize(where Scalar == Double)
  public func forward(_ x: [[Scalar]], kept: [Int: [[Bool]]] = [:]) -> Trace<Scalar> {
    var trace = Trace(x: x, kept: kept)
    for l in layers.indices {
      let (z, a) = layers[l].forward(
        trace.input(l), from: trace.input(start(ofBlock: l)), kept: kept[l])
      trace.z.append(z)
      trace.a.append(a)
    }
    return trace
  }

  /// Returns the outputs for the rows of x, [rows][inputs], without dropout and with the running statistics.
  @_specialize(where Scalar == Double)
  public func predict(_ x: [[Scalar]]) -> [[Scalar]] {
    var inputs = [x]
    for l in layers.indices {
      inputs.append(layers[l].predict(inputs[l], from: inputs[start(ofBlock: l)]))
    }
    return inputs.last!
  }

  /// Returns L = Σᵣ sᵣ l(aᵣ, yᵣ): the mean over the batch, sᵣ = 1/rows, or with sample weights sᵣ = wᵣ / Σ w.
  ///
  /// y is [rows][outputs], the sample weights [rows]. With a target scaling, a and y are those before it.
  public func loss(
    _ loss: Loss, _ trace: Trace<Scalar>, y: [[Scalar]], sampleWeights: [Scalar]? = nil
  ) -> Scalar {
    let s = shares(rows: y.count, sampleWeights)
    let (l, y) = (outputLayer, standardized(y))
    return sum(y.indices.map { r in s[r] * loss.value(z: trace.z[l][r], a: trace.a[l][r], y: y[r]) })
  }

  /// Returns δ of every layer, [layer][rows][units], and the gradient of every layer computed from it.
  ///
  /// δ is ∂L/∂z for a layer with an f, ∂L/∂a for the others.  This is backpropagation (Rumelhart, Hinton,
  /// Williams 1986), here for dense layers; the other kinds' replacements of W and f′ are next to their
  /// forward pass:
  ///
  ///     δ[last] = s · ∂l/∂z             from the loss, row by row
  ///     δ[l] = (W[l+1]ᵀ δ[l+1]) ⊙ f′(z[l])
  ///     ∂L/∂W[l] = Σ over the rows of δ[l] a[l−1]ᵀ,  where a[−1] = x
  ///     ∂L/∂b[l] = Σ over the rows of δ[l]
  ///
  /// If two layers use the same a, the next one and the sum after a block, their ∂L/∂a are added. A target
  /// scaling has no δ.
  public func backward(
    _ loss: Loss, _ trace: Trace<Scalar>, y: [[Scalar]], sampleWeights: [Scalar]? = nil
  ) -> (delta: [[[Scalar]]], gradients: [Gradient<Scalar>]) {
    let s = shares(rows: y.count, sampleWeights)
    let (last, y) = (outputLayer, standardized(y))

    var delta = [[[Scalar]]](repeating: [], count: layers.count)
    delta[last] = y.indices.map { r in
      loss.delta(
        z: trace.z[last][r], a: trace.a[last][r], y: y[r], output: layers[last].activation
      ).map { s[r] * $0 }
    }
    for l in (0..<last).reversed() {
      var dLda = layers[l + 1].backward(delta[l + 1], x: trace.a[l], kept: trace.kept[l + 1])
      for k in layers.indices.dropFirst(l + 2) where start(ofBlock: k) == l + 1 {
        dLda = added(dLda, delta[k])
      }
      delta[l] = layers[l].delta(dLda, z: trace.z[l])
    }

    let gradients = layers.indices.map { l in
      l > last ? Gradient() : layers[l].gradient(delta[l], x: trace.input(l), z: trace.z[l])
    }
    return (delta, gradients)
  }
}

/// The values of one training step, before the update of the parameters.
public struct StepTrace<Scalar: Real> {
  /// L of the batch.
  public var loss: Scalar
  /// z of each layer, [layer][rows][units].
  public var z: [[[Scalar]]]
  /// a of each layer, [layer][rows][units].
  public var a: [[[Scalar]]]
  /// δ of each layer, [layer][rows][units].
  public var delta: [[[Scalar]]]
  /// The gradient of each layer, before it is clipped.
  public var gradients: [Gradient<Scalar>]
}

/// A network with its loss, its optimizer and the optimizer's state.
public struct Trainer<Scalar: Real> {
  /// The network, whose parameters `step` updates.
  public var network: Network<Scalar>
  /// L
  public let loss: Loss
  /// The rule that updates a parameter.
  public let optimizer: Optimizer<Scalar>
  /// The smoothing of the targets, 0 for none; see ``Loss/smoothed(_:by:)``.
  public let labelSmoothing: Scalar
  /// The limits of the gradients, applied in order.
  public let clipping: [Clipping<Scalar>]
  /// The maximum norm of a neuron's weights after an update; `nil` for none.
  public let maxNorm: Scalar?
  /// Factors of the learning rate, by layer; layers that are not named have 1. A layer with 0 is frozen.
  public let layerRates: [Int: Scalar]
  /// The number of batches of an update.
  public let accumulating: Int
  /// The state of the optimizer.
  public var state: OptimizerState<Scalar>
  /// Σ w ∂L/∂p over the batches since the last update, and Σ w; w is the sum of a batch's sample weights.
  private var pending: (sums: [Gradient<Scalar>], weight: Scalar, batches: Int)?

  /// Creates a trainer that starts with the network's current parameters.
  @_specialize(where Scalar == Double)
  public init(
    network: Network<Scalar>, loss: Loss, optimizer: Optimizer<Scalar>, labelSmoothing: Scalar = 0,
    clipping: [Clipping<Scalar>] = [], maxNorm: Scalar? = nil, layerRates: [Int: Scalar] = [:],
    accumulating: Int = 1
  ) {
    precondition(accumulating >= 1, "an update has a batch")
    self.network = network
    self.loss = loss
    self.optimizer = optimizer
    self.labelSmoothing = labelSmoothing
    self.clipping = clipping
    self.maxNorm = maxNorm
    self.layerRates = layerRates
    self.accumulating = accumulating
    self.state = OptimizerState(network)
    for l in network.layers.indices { self.network.layers[l].isFrozen = layerRates[l] == 0 }
  }

  /// Performs one step on a batch of x [rows][inputs] and y [rows][outputs]: forward, backward, update.
  ///
  /// With k = `accumulating` > 1 there is one update for every k batches, with the gradient of all their
  /// rows:
  ///
  ///     ∂L/∂p = Σ w ∂L/∂p of a batch / Σ w
  ///
  /// - Parameters:
  ///   - x: The inputs, [rows][inputs].
  ///   - y: The targets, [rows][outputs].
  ///   - sampleWeights: w of each row; `nil`: 1.
  ///   - kept: Whether each dropout keeps each value, [rows][features], by its layer.
  ///   - noise: The noise added to x, [rows][inputs], in the units after the scalings at the beginning of the
  ///     network.
  @_specialize(where Scalar == Double)
  public mutating func step(
    x: [[Scalar]], y: [[Scalar]], sampleWeights: [Scalar]? = nil, kept: [Int: [[Bool]]] = [:],
    noise: [[Scalar]]? = nil
  ) -> StepTrace<Scalar> {
    let x = noise.map { added(x, unscaled($0)) } ?? x
    let y = labelSmoothing == 0 ? y : y.map { loss.smoothed($0, by: labelSmoothing) }
    let trace = network.forward(x, kept: kept)
    let L = network.loss(loss, trace, y: y, sampleWeights: sampleWeights)
    let (delta, gradients) = network.backward(loss, trace, y: y, sampleWeights: sampleWeights)
    collect(gradients, weight: sampleWeights.map(sum) ?? Scalar(x.count))
    for l in network.layers.indices { network.layers[l].follow(trace.input(l)) }
    return StepTrace(loss: L, z: trace.z, a: trace.a, delta: delta, gradients: gradients)
  }

  /// Returns the input noise that becomes `noise` after the scalings at the beginning of the network.
  private func unscaled(_ noise: [[Scalar]]) -> [[Scalar]] {
    network.layers.prefix { $0.isScaling }.reduce(noise) { noise, scaling in
      noise.map { zip($0, scaling.deviation!).map { $0 * $1 } }
    }
  }

  /// Adds a batch's gradients to the accumulated ones, and updates once they come from enough batches.
  private mutating func collect(_ gradients: [Gradient<Scalar>], weight: Scalar) {
    var (sums, weights, batches) = pending ?? (gradients.map { $0.map { _ in 0 } }, 0, 0)
    sums = zip(sums, gradients).map { $0.adding($1, times: weight) }
    (weights, batches) = (weights + weight, batches + 1)
    pending = (sums, weights, batches)
    if batches == accumulating { flush() }
  }

  /// Performs the update with the accumulated gradients, even if they come from fewer batches than usual.
  public mutating func flush() {
    guard let (sums, weight, _) = pending else { return }
    pending = nil
    var gradients = sums.map { $0.map { $0 / weight } }
    // Frozen layers do not count in a norm.
    for l in network.layers.indices where network.layers[l].isFrozen {
      gradients[l] = gradients[l].map { _ in 0 }
    }
    update(clipping.reduce(gradients) { $1($0) })
    guard let maxNorm else { return }
    for l in network.layers.indices where !network.layers[l].isFrozen { network.layers[l].limit(maxNorm) }
  }

  /// Updates every parameter of the layers that are not frozen by its gradient.
  private mutating func update(_ gradients: [Gradient<Scalar>]) {
    state.t += 1
    let t = state.t
    for (l, gradient) in gradients.enumerated() where !network.layers[l].isFrozen {
      let rate = layerRates[l] ?? 1
      for (j, dLdw) in gradient.weights.enumerated() {
        optimizer.update(
          &network.layers[l].weights[j], gradient: dLdw, memory: &state.layers[l].weights[j], t: t,
          rate: rate)
      }
      if let dLdb = gradient.bias {
        optimizer.update(
          &network.layers[l].bias!, gradient: dLdb, memory: &state.layers[l].bias!, t: t, rate: rate)
      }
      if let dLdγ = gradient.gamma {
        optimizer.update(
          &network.layers[l].gamma!, gradient: dLdγ, memory: &state.layers[l].gamma!, t: t, rate: rate)
      }
      if let dLdβ = gradient.beta {
        optimizer.update(
          &network.layers[l].beta!, gradient: dLdβ, memory: &state.layers[l].beta!, t: t, rate: rate)
      }
    }
  }
}

extension Optimizer {
  /// Updates the parameters p by their gradients, each with its own memory; all arrays have the same length.
  fileprivate func update(
    _ p: inout [Scalar], gradient: [Scalar], memory: inout [Memory<Scalar>], t: Int, rate: Scalar
  ) {
    for i in p.indices { update(&p[i], gradient: gradient[i], memory: &memory[i], t: t, rate: rate) }
  }
}

/// Gradient clipping: a limit for the size of an update.
public enum Clipping<Scalar: Real> {
  /// g ← g min(1, c / (‖g‖ + 10⁻⁶)), ‖g‖ = √(Σ g²) over all parameters together (Pascanu, Mikolov, Bengio
  /// 2013; the 10⁻⁶ is PyTorch's)
  case norm(Scalar)
  /// g limited to −c…c, each number by itself
  case value(Scalar)

  /// Returns the clipped gradients.
  public func callAsFunction(_ gradients: [Gradient<Scalar>]) -> [Gradient<Scalar>] {
    switch self {
    case .norm(let c):
      let norm = Scalar.sqrt(sum(gradients.flatMap(\.numbers).map { $0 * $0 }))
      let factor = min(1, c / (norm + 1 / 1_000_000))
      return gradients.map { $0.map { $0 * factor } }
    case .value(let c):
      return gradients.map { $0.map { min(max($0, -c), c) } }
    }
  }
}

extension Gradient {
  /// ∂L/∂b, then ∂L/∂W row by row, then ∂L/∂γ and ∂L/∂β
  public var numbers: [Scalar] { (bias ?? []) + weights.flatMap { $0 } + (gamma ?? []) + (beta ?? []) }

  /// Returns g + s h for each number g and the corresponding h in `other`.
  func adding(_ other: Gradient, times s: Scalar) -> Gradient {
    func sums(_ g: [Scalar], _ h: [Scalar]) -> [Scalar] { zip(g, h).map { $0 + s * $1 } }
    return Gradient(
      weights: zip(weights, other.weights).map(sums), bias: bias.map { sums($0, other.bias!) },
      gamma: gamma.map { sums($0, other.gamma!) }, beta: beta.map { sums($0, other.beta!) })
  }

  /// Returns the gradient with each number transformed.
  func map(_ transform: (Scalar) -> Scalar) -> Gradient {
    Gradient(
      weights: weights.map { $0.map(transform) }, bias: bias?.map(transform), gamma: gamma?.map(transform),
      beta: beta?.map(transform))
  }
}

// MARK: - Sendable

extension Trace: Sendable where Scalar: Sendable {}
extension Gradient: Sendable where Scalar: Sendable {}
extension Network: Sendable where Scalar: Sendable {}
extension StepTrace: Sendable where Scalar: Sendable {}
extension Trainer: Sendable where Scalar: Sendable {}
extension Clipping: Sendable where Scalar: Sendable {}

// MARK: - Linear algebra

/// Σᵢ xᵢ yᵢ
func dot<Scalar: Real>(_ x: [Scalar], _ y: [Scalar]) -> Scalar {
  precondition(x.count == y.count, "a product of \(x.count) numbers with \(y.count)")
  return sum(zip(x, y).map { $0 * $1 })
}

/// Returns the transpose of M, which has at least one row.
func transposed<Scalar>(_ M: [[Scalar]]) -> [[Scalar]] {
  M[0].indices.map { j in M.map { $0[j] } }
}

/// Returns the weight of each row in the batch's loss: 1/rows, or w / Σ w.
func shares<Scalar: Real>(rows: Int, _ sampleWeights: [Scalar]?) -> [Scalar] {
  let w = sampleWeights ?? Array(repeating: 1, count: rows)
  precondition(w.count == rows, "\(w.count) sample weights for \(rows) rows")
  return w.map { $0 / sum(w) }
}
