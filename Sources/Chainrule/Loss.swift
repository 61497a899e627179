internal import CChainrule

/// L, the function that training minimises: the mean over the batch of a value per sample, weighted if
/// samples have weights. n is the number of outputs, a the outputs, y the targets, d = a − y.
///
/// `rawValue` is the name in files and on the command line; ``formula`` is the value per sample in ASCII.
public enum Loss: String, CaseIterable, Codable, Sendable {
  /// ½ Σ d², the convention of most tutorials
  case halfSquaredError
  /// 1/n Σ d²
  case meanSquaredError
  /// 1/n Σ |d|
  case meanAbsoluteError
  /// 1/n Σ { ½ d² where |d| < 1, else |d| − ½ } (Huber 1964)
  case huber
  /// 1/n Σ log cosh d
  case logCosh
  /// −1/n Σ y log a + (1 − y) log(1 − a), computed from z; needs a sigmoid output and 0 ≤ y ≤ 1
  case binaryCrossEntropy
  /// −Σ y log a, computed from z; needs a softmax output and 0 ≤ y ≤ 1
  case crossEntropy
  /// 1/n Σ a − y log a; needs outputs above 0 (softplus, sigmoid, softmax) and y ≥ 0
  case poisson
  /// 1/n Σ max(0, 1 − y a), where y = 0 counts as −1; needs y = −1, 0 or 1. A row of class indicators (1 for
  /// its class, 0 elsewhere) thus trains each class against the rest.
  case hinge

  /// The value per sample in ASCII, for a terminal.
  public var formula: String { String(cString: chainrule_loss_formula(core)) }

  /// Returns the usual loss of an output layer: cross-entropy for softmax, binary cross-entropy for sigmoid,
  /// the mean squared error for any other activation.
  public static func `default`(for output: Activation) -> Loss {
    switch output {
    case .softmax: .crossEntropy
    case .sigmoid: .binaryCrossEntropy
    default: .meanSquaredError
    }
  }

  /// The C core's value of the same name.
  var core: chainrule_loss { coreValue(named: rawValue, .halfSquaredError, chainrule_loss_named) }

  init(_ core: chainrule_loss) {
    switch core {
    case .halfSquaredError: self = .halfSquaredError
    case .meanSquaredError: self = .meanSquaredError
    case .meanAbsoluteError: self = .meanAbsoluteError
    case .huber: self = .huber
    case .logCosh: self = .logCosh
    case .binaryCrossEntropy: self = .binaryCrossEntropy
    case .crossEntropy: self = .crossEntropy
    case .poisson: self = .poisson
    case .hinge: self = .hinge
    }
  }
}
