/// A number of a result, such as ``Evaluation/r2``: equal to itself also where it is NaN, and with a text in JSON for
/// every value.
///
/// JSON has no NaN and no infinity. NaN stands for a figure that does not exist, such as the accuracy of a regression: its
/// key is left out, and in an array it is `null`. Infinities are the texts "inf" and "-inf". So every result can be
/// encoded and decoded with any encoder, without a strategy for such numbers.
@propertyWrapper
public struct Figure: Sendable {
  /// The number.
  public var wrappedValue: Double

  /// A figure with this value.
  public init(wrappedValue: Double) { self.wrappedValue = wrappedValue }
}

extension Figure: Hashable {
  /// Whether both are the same number, or both NaN.
  public static func == (left: Figure, right: Figure) -> Bool {
    left.wrappedValue == right.wrappedValue || (left.wrappedValue.isNaN && right.wrappedValue.isNaN)
  }

  /// Equal figures, NaN included, have equal hashes.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(wrappedValue.isNaN ? nil : wrappedValue)
  }
}

extension Figure: Codable {
  /// Reads a number, `null` for NaN, "inf" or "-inf".
  ///
  /// - Throws: A `DecodingError` for anything else.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self.init(wrappedValue: .nan)
    } else if let text = try? container.decode(String.self) {
      guard text == "inf" || text == "-inf" else {
        throw DecodingError.dataCorruptedError(
          in: container, debugDescription: "\"\(text)\": expected a number, null, \"inf\" or \"-inf\"")
      }
      self.init(wrappedValue: text == "inf" ? .infinity : -.infinity)
    } else {
      self.init(wrappedValue: try container.decode(Double.self))
    }
  }

  /// Writes a number, `null` for NaN, "inf" or "-inf".
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if wrappedValue.isNaN {
      try container.encodeNil()
    } else if wrappedValue.isInfinite {
      try container.encode(wrappedValue > 0 ? "inf" : "-inf")
    } else {
      try container.encode(wrappedValue)
    }
  }
}

// The compiler's `Codable` members of the results call these two for each figure, since they are more specific than the
// standard library's.

extension KeyedEncodingContainer {
  /// Leaves NaN out.
  mutating func encode(_ figure: Figure, forKey key: Key) throws {
    try encodeIfPresent(figure.wrappedValue.isNaN ? nil : figure, forKey: key)
  }
}

extension KeyedDecodingContainer {
  /// NaN where the key is left out.
  func decode(_ type: Figure.Type, forKey key: Key) throws -> Figure {
    try decodeIfPresent(type, forKey: key) ?? Figure(wrappedValue: .nan)
  }
}
