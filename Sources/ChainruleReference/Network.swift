import RealModule

// One notation throughout: x inputs, z = W a + b, a = f(z), y target, L loss, δ = ∂L/∂z.
// W is [out][in]: a row of weights is a neuron of the next layer.

/// A dense layer: a = f(W x + b).
public struct Layer<Scalar: Real> {
  /// W, [out][in]
  public var weights: [[Scalar]]
  /// b, [out]; nil is a layer without bias
  public var bias: [Scalar]?
  /// f
  public var activation: Activation

  /// A layer of `weights.count` neurons.
  public init(weights: [[Scalar]], bias: [Scalar]?, activation: Activation) {
    precondition(weights.allSatisfy { $0.count == weights[0].count }, "every row of W has the same length")
    precondition(bias == nil || bias!.count == weights.count, "b has one number for each row of W")
    self.weights = weights
    self.bias = bias
    self.activation = activation
  }

  /// z = W x + b of one row; x is [in], z [out].
  public func z(_ x: [Scalar]) -> [Scalar] {
    weights.indices.map { j in dot(weights[j], x) + (bias?[j] ?? 0) }
  }
}

/// What a forward pass computes, kept for the backward pass.
public struct Trace<Scalar: Real> {
  /// The inputs, [rows][inputs].
  public var x: [[Scalar]]
  /// z of each layer, [layer][rows][units].
  public var z: [[[Scalar]]] = []
  /// a of each layer, [layer][rows][units]; the last are the outputs.
  public var a: [[[Scalar]]] = []

  /// The activations of the last layer, [rows][outputs].
  public var outputs: [[Scalar]] { a.last! }
}

/// ∂L/∂W and ∂L/∂b of one layer.
public struct Gradient<Scalar: Real> {
  /// ∂L/∂W, [out][in]
  public var weights: [[Scalar]]
  /// ∂L/∂b, [out]; nil in a layer without bias
  public var bias: [Scalar]?
}

/// Dense layers, one after the other.
public struct Network<Scalar: Real> {
  /// From the first hidden layer to the output layer.
  public var layers: [Layer<Scalar>]

  /// A network in which each layer takes as many inputs as the one before it has neurons.
  public init(layers: [Layer<Scalar>]) {
    for (this, next) in zip(layers, layers.dropFirst()) {
      precondition(next.weights[0].count == this.weights.count, "each layer fits the one before it")
    }
    self.layers = layers
  }

  /// z and a of every layer for the rows of x, [rows][inputs].
  @_specialize(where Scalar == Double)
  public func forward(_ x: [[Scalar]]) -> Trace<Scalar> {
    var trace = Trace(x: x)
    var a = x
    for layer in layers {
      let z = a.map(layer.z)
      a = z.map(layer.activation.values)
      trace.z.append(z)
      trace.a.append(a)
    }
    return trace
  }

  /// L = Σᵣ sᵣ l(aᵣ, yᵣ): the mean over the batch, sᵣ = 1/rows, or with sample weights sᵣ = wᵣ / Σ w.
  ///
  /// y is [rows][outputs], the sample weights [rows].
  public func loss(
    _ loss: Loss, _ trace: Trace<Scalar>, y: [[Scalar]], sampleWeights: [Scalar]? = nil
  ) -> Scalar {
    let s = shares(rows: y.count, sampleWeights)
    return sum(
      y.indices.map { r in s[r] * loss.value(z: trace.z.last![r], a: trace.outputs[r], y: y[r]) })
  }

  /// δ = ∂L/∂z of every layer, [layer][rows][units], and from it the gradient of every layer.
  ///
  /// Backpropagation (Rumelhart, Hinton, Williams 1986).  For the layers l = last … first:
  ///
  ///     δ[last] = s · ∂l/∂z             from the loss, row by row
  ///     δ[l] = (W[l+1]ᵀ δ[l+1]) ⊙ f′(z[l])
  ///     ∂L/∂W[l] = Σ over the rows of δ[l] a[l−1]ᵀ,  where a[−1] = x
  ///     ∂L/∂b[l] = Σ over the rows of δ[l]
  public func backward(
    _ loss: Loss, _ trace: Trace<Scalar>, y: [[Scalar]], sampleWeights: [Scalar]? = nil
  ) -> (delta: [[[Scalar]]], gradients: [Gradient<Scalar>]) {
    let s = shares(rows: y.count, sampleWeights)
    let output = layers.last!.activation

    var δ = y.indices.map { r in
      loss.delta(z: trace.z.last![r], a: trace.outputs[r], y: y[r], output: output).map { s[r] * $0 }
    }
    var delta = [δ]
    for l in layers.indices.dropLast().reversed() {
      let Wᵀ = transposed(layers[l + 1].weights)  // [units of l][units of l + 1]
      δ = y.indices.map { r in
        let dLda = Wᵀ.map { dot($0, δ[r]) }
        return layers[l].activation.backward(dLda, z: trace.z[l][r])
      }
      delta.insert(δ, at: 0)
    }

    let gradients = layers.indices.map { l in
      let δᵀ = transposed(delta[l])  // [units][rows]
      let aᵀ = transposed(l == 0 ? trace.x : trace.a[l - 1])  // [inputs][rows]
      return Gradient(
        weights: δᵀ.map { δⱼ in aᵀ.map { aᵢ in dot(δⱼ, aᵢ) } },
        bias: layers[l].bias == nil ? nil : δᵀ.map(sum))
    }
    return (delta, gradients)
  }
}

/// What one training step computed, before it moved the parameters.
public struct StepTrace<Scalar: Real> {
  /// L of the batch.
  public var loss: Scalar
  /// z of each layer, [layer][rows][units].
  public var z: [[[Scalar]]]
  /// a of each layer, [layer][rows][units].
  public var a: [[[Scalar]]]
  /// δ = ∂L/∂z of each layer, [layer][rows][units].
  public var delta: [[[Scalar]]]
  /// ∂L/∂W and ∂L/∂b of each layer.
  public var gradients: [Gradient<Scalar>]
}

/// A network in training.
public struct Trainer<Scalar: Real> {
  /// The network, whose parameters `step` moves.
  public var network: Network<Scalar>
  /// L
  public let loss: Loss
  /// The rule that moves a parameter.
  public let optimizer: Optimizer<Scalar>
  /// What that rule remembers.
  public var state: OptimizerState<Scalar>

  /// Training that begins with the network's parameters as they are.
  @_specialize(where Scalar == Double)
  public init(network: Network<Scalar>, loss: Loss, optimizer: Optimizer<Scalar>) {
    self.network = network
    self.loss = loss
    self.optimizer = optimizer
    self.state = OptimizerState(network)
  }

  /// Forward, backward, update: one step on a batch of x [rows][inputs] and y [rows][outputs].
  @_specialize(where Scalar == Double)
  public mutating func step(
    x: [[Scalar]], y: [[Scalar]], sampleWeights: [Scalar]? = nil
  ) -> StepTrace<Scalar> {
    let trace = network.forward(x)
    let L = network.loss(loss, trace, y: y, sampleWeights: sampleWeights)
    let (delta, gradients) = network.backward(loss, trace, y: y, sampleWeights: sampleWeights)
    update(gradients)
    return StepTrace(loss: L, z: trace.z, a: trace.a, delta: delta, gradients: gradients)
  }

  /// Moves every parameter by its gradient.
  private mutating func update(_ gradients: [Gradient<Scalar>]) {
    state.t += 1
    for l in network.layers.indices {
      for j in network.layers[l].weights.indices {
        for i in network.layers[l].weights[j].indices {
          optimizer.update(
            &network.layers[l].weights[j][i], gradient: gradients[l].weights[j][i],
            memory: &state.layers[l].weights[j][i], t: state.t)
        }
        if let dLdb = gradients[l].bias {
          optimizer.update(
            &network.layers[l].bias![j], gradient: dLdb[j],
            memory: &state.layers[l].bias![j], t: state.t)
        }
      }
    }
  }
}

// MARK: - Sendable

extension Layer: Sendable where Scalar: Sendable {}
extension Trace: Sendable where Scalar: Sendable {}
extension Gradient: Sendable where Scalar: Sendable {}
extension Network: Sendable where Scalar: Sendable {}
extension StepTrace: Sendable where Scalar: Sendable {}
extension Trainer: Sendable where Scalar: Sendable {}

// MARK: - A little linear algebra

/// Σᵢ xᵢ yᵢ
func dot<Scalar: Real>(_ x: [Scalar], _ y: [Scalar]) -> Scalar {
  precondition(x.count == y.count, "a product of \(x.count) numbers with \(y.count)")
  return sum(zip(x, y).map { $0 * $1 })
}

/// Rows become columns; M has at least one row.
func transposed<Scalar>(_ M: [[Scalar]]) -> [[Scalar]] {
  M[0].indices.map { j in M.map { $0[j] } }
}

/// The share of each row in the batch's loss: 1/rows, or w / Σ w.
func shares<Scalar: Real>(rows: Int, _ sampleWeights: [Scalar]?) -> [Scalar] {
  let w = sampleWeights ?? Array(repeating: 1, count: rows)
  precondition(w.count == rows, "\(w.count) sample weights for \(rows) rows")
  return w.map { $0 / sum(w) }
}
