import RealModule

/// Optimizers: the update of a parameter p, given the gradient g = ∂L/∂p.
///
/// The rules and their defaults are PyTorch's; those of `lion` are its authors'.  In the formulas η is the
/// learning rate, λ the weight decay, ε the small number that keeps a quotient finite, and t the number of
/// the update, counted from 1.  Weight decay is L2 regularisation, g ← g + λ p, except in `adamw` and `lion`;
/// `l1` is L1 regularisation, g ← g + λ₁ sign p, in all rules, where sign 0 = 0.
public enum Optimizer<Scalar: Real> {
  /// u ← μ u + g;  p ← p − η u (Polyak 1964);  nesterov: p ← p − η (g + μ u) (Nesterov 1983)
  case sgd(
    learningRate: Scalar, momentum: Scalar = 0, nesterov: Bool = false, weightDecay: Scalar = 0,
    l1: Scalar = 0)

  /// v ← v + g²;  p ← p − η g / (√v + ε) (Duchi, Hazan, Singer 2011)
  case adagrad(
    learningRate: Scalar, epsilon: Scalar = 1 / 10_000_000_000, weightDecay: Scalar = 0,
    l1: Scalar = 0)

  /// v ← α v + (1 − α) g²;  u ← μ u + g / (√v + ε);  p ← p − η u (Tieleman, Hinton 2012)
  ///
  /// With `centered`: m ← α m + (1 − α) g, and v − m² replaces v under the root (Graves 2013).
  case rmsprop(
    learningRate: Scalar, alpha: Scalar = 99 / 100, epsilon: Scalar = 1 / 100_000_000,
    momentum: Scalar = 0, centered: Bool = false, weightDecay: Scalar = 0, l1: Scalar = 0)

  /// m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;  m̂ = m / (1 − β₁ᵗ);  v̂ = v / (1 − β₂ᵗ);
  /// p ← p − η m̂ / (√v̂ + ε) (Kingma, Ba 2015)
  ///
  /// With `amsgrad`, the largest v so far replaces v in v̂ (Reddi, Kale, Kumar 2018).
  case adam(
    learningRate: Scalar, beta1: Scalar = 9 / 10, beta2: Scalar = 999 / 1000,
    epsilon: Scalar = 1 / 100_000_000, amsgrad: Bool = false, weightDecay: Scalar = 0, l1: Scalar = 0)

  /// p ← p − η λ p, then the step of `adam` without weight decay (Loshchilov, Hutter 2019)
  case adamw(
    learningRate: Scalar, beta1: Scalar = 9 / 10, beta2: Scalar = 999 / 1000,
    epsilon: Scalar = 1 / 100_000_000, amsgrad: Bool = false, weightDecay: Scalar = 1 / 100,
    l1: Scalar = 0)

  /// v ← ρ v + (1 − ρ) g²;  d = √(u + ε) / √(v + ε) · g;  u ← ρ u + (1 − ρ) d²;  p ← p − η d (Zeiler 2012)
  case adadelta(
    learningRate: Scalar, rho: Scalar = 9 / 10, epsilon: Scalar = 1 / 1_000_000,
    weightDecay: Scalar = 0, l1: Scalar = 0)

  /// m as in adam;  v ← max(β₂ v, |g| + ε);  p ← p − η m̂ / v (Kingma, Ba 2015)
  case adamax(
    learningRate: Scalar, beta1: Scalar = 9 / 10, beta2: Scalar = 999 / 1000,
    epsilon: Scalar = 1 / 100_000_000, weightDecay: Scalar = 0, l1: Scalar = 0)

  /// m and v as in adam;  μₜ = β₁ (1 − ½ 0.96^(t ψ)), ψ the momentum decay;
  /// m̂ = μₜ₊₁ m / (1 − μ₁…μₜ₊₁);  ĝ = (1 − μₜ) g / (1 − μ₁…μₜ);  p ← p − η (m̂ + ĝ) / (√v̂ + ε) (Dozat 2016)
  case nadam(
    learningRate: Scalar, beta1: Scalar = 9 / 10, beta2: Scalar = 999 / 1000,
    epsilon: Scalar = 1 / 100_000_000, momentumDecay: Scalar = 4 / 1000, weightDecay: Scalar = 0,
    l1: Scalar = 0)

  /// u, initially η, is multiplied by η⁺ if g has its previous sign, by η⁻ if it has the other, and limited
  /// to stepMin…stepMax; if g has the other sign, g ← 0;  p ← p − u sign g (Riedmiller, Braun 1993)
  case rprop(
    learningRate: Scalar, etaMinus: Scalar = 1 / 2, etaPlus: Scalar = 12 / 10,
    stepMin: Scalar = 1 / 1_000_000, stepMax: Scalar = 50, weightDecay: Scalar = 0, l1: Scalar = 0)

  /// c = β₁ m + (1 − β₁) g;  p ← p − η (sign c + λ p);  m ← β₂ m + (1 − β₂) g (Chen et al. 2023)
  case lion(
    learningRate: Scalar, beta1: Scalar = 9 / 10, beta2: Scalar = 99 / 100, weightDecay: Scalar = 0,
    l1: Scalar = 0)
}

extension Optimizer: Sendable where Scalar: Sendable {}
extension Optimizer: Equatable {}

/// The state of an optimizer for one parameter; every rule uses the fields it needs.
public struct Memory<Scalar: Real> {
  /// The running sum of past steps with momentum; with amsgrad the largest v, for adadelta the running mean
  /// of d², for nadam the product of μ, for rprop the step.
  public var u: Scalar = 0
  /// The running mean of g; for rprop g itself.
  public var m: Scalar = 0
  /// The running mean of g²; for adagrad its sum, for adamax the decaying maximum of |g|.
  public var v: Scalar = 0
}

extension Memory: Sendable where Scalar: Sendable {}
extension Memory: Equatable {}

extension Optimizer {
  /// Updates the parameter p by its gradient g; `memory` is the parameter's state, t the number of the
  /// update, r a factor of η.
  public func update(
    _ p: inout Scalar, gradient: Scalar, memory: inout Memory<Scalar>, t: Int, rate r: Scalar = 1
  ) {
    var g = gradient
    switch self {
    case .sgd(let η, let μ, let nesterov, let λ, let λ1):
      g += λ * p + λ1 * .sign(p)
      memory.u = μ * memory.u + g
      p -= r * η * (nesterov ? g + μ * memory.u : memory.u)

    case .adagrad(let η, let ε, let λ, let λ1):
      g += λ * p + λ1 * .sign(p)
      memory.v += g * g
      p -= r * η * g / (.sqrt(memory.v) + ε)

    case .rmsprop(let η, let α, let ε, let μ, let centered, let λ, let λ1):
      g += λ * p + λ1 * .sign(p)
      memory.v = α * memory.v + (1 - α) * g * g
      memory.m = α * memory.m + (1 - α) * g
      let variance = centered ? memory.v - memory.m * memory.m : memory.v
      memory.u = μ * memory.u + g / (.sqrt(variance) + ε)
      p -= r * η * memory.u

    case .adam(let η, let β1, let β2, let ε, let amsgrad, let λ, let λ1):
      g += λ * p + λ1 * .sign(p)
      memory.m = β1 * memory.m + (1 - β1) * g
      memory.v = β2 * memory.v + (1 - β2) * g * g
      let m̂ = memory.m / (1 - .pow(β1, t))
      memory.u = max(memory.u, memory.v)
      let v̂ = (amsgrad ? memory.u : memory.v) / (1 - .pow(β2, t))
      p -= r * η * m̂ / (.sqrt(v̂) + ε)

    case .adamw(let η, let β1, let β2, let ε, let amsgrad, let λ, let λ1):
      g += λ1 * .sign(p)
      p -= r * η * λ * p
      let adam = Optimizer.adam(learningRate: η, beta1: β1, beta2: β2, epsilon: ε, amsgrad: amsgrad)
      adam.update(&p, gradient: g, memory: &memory, t: t, rate: r)

    case .adadelta(let η, let ρ, let ε, let λ, let λ1):
      g += λ * p + λ1 * .sign(p)
      memory.v = ρ * memory.v + (1 - ρ) * g * g
      let d = .sqrt(memory.u + ε) / .sqrt(memory.v + ε) * g
      memory.u = ρ * memory.u + (1 - ρ) * d * d
      p -= r * η * d

    case .adamax(let η, let β1, let β2, let ε, let λ, let λ1):
      g += λ * p + λ1 * .sign(p)
      memory.m = β1 * memory.m + (1 - β1) * g
      memory.v = max(β2 * memory.v, abs(g) + ε)
      p -= r * η / (1 - .pow(β1, t)) * memory.m / memory.v

    case .nadam(let η, let β1, let β2, let ε, let ψ, let λ, let λ1):
      g += λ * p + λ1 * .sign(p)
      func μ(_ t: Int) -> Scalar { β1 * (1 - .pow(96 / 100, Scalar(t) * ψ) / 2) }
      memory.u = t == 1 ? μ(1) : memory.u * μ(t)
      memory.m = β1 * memory.m + (1 - β1) * g
      memory.v = β2 * memory.v + (1 - β2) * g * g
      let m̂ = μ(t + 1) * memory.m / (1 - memory.u * μ(t + 1))
      let ĝ = (1 - μ(t)) * g / (1 - memory.u)
      let v̂ = memory.v / (1 - .pow(β2, t))
      p -= r * η * (m̂ + ĝ) / (.sqrt(v̂) + ε)

    case .rprop(let η, let ηMinus, let ηPlus, let stepMin, let stepMax, let λ, let λ1):
      g += λ * p + λ1 * .sign(p)
      if t == 1 { memory.u = r * η }
      let agreement: Scalar = .sign(g) * .sign(memory.m)
      if agreement > 0 {
        memory.u *= ηPlus
      } else if agreement < 0 {
        memory.u *= ηMinus
        g = 0
      }
      memory.u = min(max(memory.u, stepMin), stepMax)
      memory.m = g
      p -= memory.u * .sign(g)

    case .lion(let η, let β1, let β2, let λ, let λ1):
      g += λ1 * .sign(p)
      let c = β1 * memory.m + (1 - β1) * g
      memory.m = β2 * memory.m + (1 - β2) * g
      p -= r * η * (.sign(c) + λ * p)
    }
  }
}

/// The state of an optimizer for a whole network: an array of `Memory` for each array of parameters.
public struct OptimizerState<Scalar: Real> {
  /// The state for one layer's parameters.
  public struct Layer {
    /// [out][in]
    public var weights: [[Memory<Scalar>]]
    /// [out], or `nil` for a layer without bias
    public var bias: [Memory<Scalar>]?
    /// [features], or `nil` for a layer without γ
    public var gamma: [Memory<Scalar>]?
    /// [features], or `nil` for a layer without β
    public var beta: [Memory<Scalar>]?
  }

  /// The number of completed updates.
  public var t = 0
  /// The state for each layer of the network.
  public var layers: [Layer]

  /// Creates the initial state for the network's parameters.
  public init(_ network: Network<Scalar>) {
    layers = network.layers.map { layer in
      Layer(
        weights: layer.weights.map { $0.map { _ in Memory() } },
        bias: layer.bias.map { $0.map { _ in Memory() } },
        gamma: layer.gamma.map { $0.map { _ in Memory() } },
        beta: layer.beta.map { $0.map { _ in Memory() } })
    }
  }
}

extension OptimizerState: Sendable where Scalar: Sendable {}
extension OptimizerState.Layer: Sendable where Scalar: Sendable {}
extension OptimizerState: Equatable {}
extension OptimizerState.Layer: Equatable {}
