import RealModule

/// Optimizers: how a parameter p moves, given the gradient g = ∂L/∂p.
///
/// The rules and their defaults are PyTorch's.  In the formulas η is the learning rate, λ the weight
/// decay, ε the small number that keeps a quotient finite, and t counts the updates from 1.  Weight
/// decay is L2 regularisation, g ← g + λ p, except in `adamw`.
public enum Optimizer<Scalar: Real> {
  /// u ← μ u + g;  p ← p − η u (Polyak 1964);  nesterov: p ← p − η (g + μ u) (Nesterov 1983)
  case sgd(
    learningRate: Scalar, momentum: Scalar = 0, nesterov: Bool = false, weightDecay: Scalar = 0)

  /// v ← v + g²;  p ← p − η g / (√v + ε) (Duchi, Hazan, Singer 2011)
  case adagrad(
    learningRate: Scalar, epsilon: Scalar = 1 / 10_000_000_000, weightDecay: Scalar = 0)

  /// v ← α v + (1 − α) g²;  u ← μ u + g / (√v + ε);  p ← p − η u (Tieleman, Hinton 2012)
  ///
  /// Centered: m ← α m + (1 − α) g, and v − m² takes the place of v under the root (Graves 2013).
  case rmsprop(
    learningRate: Scalar, alpha: Scalar = 99 / 100, epsilon: Scalar = 1 / 100_000_000,
    momentum: Scalar = 0, centered: Bool = false, weightDecay: Scalar = 0)

  /// m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;  m̂ = m / (1 − β₁ᵗ);  v̂ = v / (1 − β₂ᵗ);
  /// p ← p − η m̂ / (√v̂ + ε) (Kingma, Ba 2015)
  case adam(
    learningRate: Scalar, beta1: Scalar = 9 / 10, beta2: Scalar = 999 / 1000,
    epsilon: Scalar = 1 / 100_000_000, weightDecay: Scalar = 0)

  /// p ← p − η λ p, then the step of `adam` without weight decay (Loshchilov, Hutter 2019)
  case adamw(
    learningRate: Scalar, beta1: Scalar = 9 / 10, beta2: Scalar = 999 / 1000,
    epsilon: Scalar = 1 / 100_000_000, weightDecay: Scalar = 1 / 100)
}

extension Optimizer: Sendable where Scalar: Sendable {}
extension Optimizer: Equatable {}

/// What an optimizer remembers of one parameter; every rule uses the part it needs.
public struct Memory<Scalar: Real> {
  /// The running sum of past steps, where there is momentum.
  public var u: Scalar = 0
  /// The running mean of g.
  public var m: Scalar = 0
  /// The running mean of g², for adagrad its sum.
  public var v: Scalar = 0
}

extension Memory: Sendable where Scalar: Sendable {}
extension Memory: Equatable {}

extension Optimizer {
  /// Moves the parameter p by its gradient g; `memory` is that parameter's, t the number of this update.
  public func update(_ p: inout Scalar, gradient: Scalar, memory: inout Memory<Scalar>, t: Int) {
    var g = gradient
    switch self {
    case .sgd(let η, let μ, let nesterov, let λ):
      g += λ * p
      memory.u = μ * memory.u + g
      p -= η * (nesterov ? g + μ * memory.u : memory.u)

    case .adagrad(let η, let ε, let λ):
      g += λ * p
      memory.v += g * g
      p -= η * g / (.sqrt(memory.v) + ε)

    case .rmsprop(let η, let α, let ε, let μ, let centered, let λ):
      g += λ * p
      memory.v = α * memory.v + (1 - α) * g * g
      memory.m = α * memory.m + (1 - α) * g
      let variance = centered ? memory.v - memory.m * memory.m : memory.v
      memory.u = μ * memory.u + g / (.sqrt(variance) + ε)
      p -= η * memory.u

    case .adam(let η, let β1, let β2, let ε, let λ):
      g += λ * p
      memory.m = β1 * memory.m + (1 - β1) * g
      memory.v = β2 * memory.v + (1 - β2) * g * g
      let m̂ = memory.m / (1 - .pow(β1, t))
      let v̂ = memory.v / (1 - .pow(β2, t))
      p -= η * m̂ / (.sqrt(v̂) + ε)

    case .adamw(let η, let β1, let β2, let ε, let λ):
      p -= η * λ * p
      let adam = Optimizer.adam(learningRate: η, beta1: β1, beta2: β2, epsilon: ε)
      adam.update(&p, gradient: g, memory: &memory, t: t)
    }
  }
}

/// What an optimizer remembers of a whole network: an array of `Memory` beside each array of parameters.
public struct OptimizerState<Scalar: Real> {
  /// The memory beside one layer's parameters.
  public struct Layer {
    /// [out][in]
    public var weights: [[Memory<Scalar>]]
    /// [out], or nil in a layer without bias
    public var bias: [Memory<Scalar>]?
  }

  /// The number of updates done.
  public var t = 0
  /// One for each layer of the network.
  public var layers: [Layer]

  /// Nothing remembered yet of the network's parameters.
  public init(_ network: Network<Scalar>) {
    layers = network.layers.map { layer in
      Layer(
        weights: layer.weights.map { $0.map { _ in Memory() } },
        bias: layer.bias.map { $0.map { _ in Memory() } })
    }
  }
}

extension OptimizerState: Sendable where Scalar: Sendable {}
extension OptimizerState.Layer: Sendable where Scalar: Sendable {}
extension OptimizerState: Equatable {}
extension OptimizerState.Layer: Equatable {}
