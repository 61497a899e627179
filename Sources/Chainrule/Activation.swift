internal import CChainrule

/// f, the activation function of a layer: a = f(z), elementwise except for softmax.
///
/// `rawValue` is the name in files and on the command line; ``formula`` is f in ASCII.
public enum Activation: String, CaseIterable, Codable, Sendable {
  /// f(z) = z
  case identity
  /// f(z) = σ(z) = 1 / (1 + e⁻ᶻ)
  case sigmoid
  /// f(z) = tanh z
  case tanh
  /// f(z) = max(0, z)
  case relu
  /// f(z) = z for z > 0, else 0.01 z
  case leakyReLU
  /// f(z) = z for z > 0, else eᶻ − 1 (Clevert et al. 2016, α = 1)
  case elu
  /// f(z) = λ z for z > 0, else λ α (eᶻ − 1), λ = 1.0507, α = 1.67326 (Klambauer et al. 2017)
  case selu
  /// f(z) = z Φ(z), where Φ is the standard normal distribution function (Hendrycks & Gimpel 2016)
  case gelu
  /// f(z) = ½ z (1 + tanh(√(2/π) (z + 0.044715 z³))), the approximation of gelu in the same paper
  case geluTanh
  /// f(z) = z σ(z) (Elfwing et al. 2018; also called swish)
  case silu
  /// f(z) = log(1 + eᶻ)
  case softplus
  /// f(z) = z / (1 + |z|)
  case softsign
  /// f(z) = z tanh(log(1 + eᶻ)) (Misra 2019)
  case mish
  /// f(z) = z/6 + ½, limited to 0 … 1
  case hardSigmoid
  /// f(z) = z, limited to −1 … 1
  case hardTanh
  /// f(z)ⱼ = e^zⱼ / Σₖ e^zₖ over the layer; only the last layer may be softmax
  case softmax

  /// f in ASCII, for a terminal.
  public var formula: String { String(cString: chainrule_activation_formula(core)) }

  /// The C core's value of the same name.
  var core: chainrule_activation {
    coreValue(named: rawValue, .identity, chainrule_activation_named)
  }

  init(_ core: chainrule_activation) {
    switch core {
    case .identity: self = .identity
    case .sigmoid: self = .sigmoid
    case .tanh: self = .tanh
    case .relu: self = .relu
    case .leakyReLU: self = .leakyReLU
    case .elu: self = .elu
    case .selu: self = .selu
    case .gelu: self = .gelu
    case .geluTanh: self = .geluTanh
    case .silu: self = .silu
    case .softplus: self = .softplus
    case .softsign: self = .softsign
    case .mish: self = .mish
    case .hardSigmoid: self = .hardSigmoid
    case .hardTanh: self = .hardTanh
    case .softmax: self = .softmax
    }
  }
}
