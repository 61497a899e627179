internal import CChainrule

/// Scales each feature by numbers that training does not change: a = (x - mean) / deviation.
///
/// As the first layer, it lets the network and its saved model take raw features. As the last layer, it is a
/// target scaling; see ``Network/init(inputs:layers:targetScaling:seed:kernelSet:)``.
public struct Scaling: Hashable, Codable, Sendable {
  /// The value subtracted from each feature.
  public var mean: [Double]
  /// The divisor of each feature, above 0.
  public var deviation: [Double]

  /// Creates a layer for `mean.count` features.
  public init(mean: [Double], deviation: [Double]) {
    self.mean = mean
    self.deviation = deviation
  }

  /// Creates the last layer of a network that trains on standardised targets: a = σ x + μ, so that the
  /// deviation is 1 / σ and the mean -μ / σ.
  public init(targets standardization: Standardization) {
    let (mean, deviation) = (standardization.mean, standardization.standardDeviation)
    self.init(mean: zip(mean, deviation).map { 0 - $0 / $1 }, deviation: deviation.map { 1 / $0 })
  }

  /// Fits a `Standardization` to the features of `data` and uses its numbers.
  ///
  /// - Throws: As `Standardization(fitting:)`.
  public init<Scalar: NetworkScalar>(of data: Dataset<Scalar>) throws(ChainruleError) {
    let fitted = try Standardization(fitting: data)
    self.init(mean: fitted.mean, deviation: fitted.standardDeviation)
  }

  /// Reads a layer. Missing means are 0; missing deviations are 1.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let mean = try container.decodeIfPresent([Double].self, forKey: .mean)
    let deviation = try container.decodeIfPresent([Double].self, forKey: .deviation)
    self.init(
      mean: mean ?? Array(repeating: 0, count: deviation?.count ?? 0),
      deviation: deviation ?? Array(repeating: 1, count: mean?.count ?? 0))
  }
}

extension Scaling: LayerKind {
  static let kind = chainrule_layer_kind.scaling

  static func layer(_ core: chainrule_layer, scaling: () -> Scaling) -> Layer { .scaling(scaling()) }

  var layer: Layer { .scaling(self) }

  func describe(_ core: inout chainrule_layer) { core.units = mean.count }
}
