// The golden cases, for the C core, the reference and the explanations to be held against.

package import ChainruleExplain
package import Foundation

/// Tests/Fixtures
package let fixtures = URL(filePath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().appending(path: "Fixtures")

/// Every golden case, by name.
package func goldenCases() throws -> [StepFile] {
  try FileManager.default
    .contentsOfDirectory(at: fixtures.appending(path: "goldens/cases"), includingPropertiesForKeys: nil)
    .sorted { $0.path < $1.path }
    .map { try StepFile(json: Data(contentsOf: $0)) }
}

extension StepFile {
  /// How close float64 comes to this case.
  package var float64Tolerance: Tolerance {
    layers.contains { $0.activation == "hardSigmoid" } ? .float64HardSigmoid : .float64
  }
}

/// A worked example of a tutorial: a step file, and the exact values of its first step.
package struct Tutorial: Decodable, Sendable {
  package var stepFile: StepFile
  package var exact: [String: Numbers]

  /// All four.
  package static func all() throws -> [Tutorial] {
    let json = try Data(contentsOf: fixtures.appending(path: "goldens/tutorials.json"))
    return try JSONDecoder().decode([String: [Tutorial]].self, from: json)["examples"]!
  }

  private enum CodingKeys: CodingKey { case exact }

  package init(from decoder: any Decoder) throws {
    stepFile = try StepFile(from: decoder)
    exact = try decoder.container(keyedBy: CodingKeys.self).decode([String: Numbers].self, forKey: .exact)
  }

  /// Some give every number rounded to 8 decimals, the others in full.
  package var tolerance: Tolerance {
    let rounded = exact.values.flatMap(\.values).allSatisfy { abs(($0 * 1e8).rounded() - $0 * 1e8) < 1e-6 }
    return rounded ? .decimals(8) : .float64
  }
}

/// The numbers of a JSON value in the order they stand, an object's in the order of its keys.
package struct Numbers: Decodable, Sendable {
  package var values: [Double]

  package init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if let number = try? value.decode(Double.self) {
      values = [number]
    } else if let array = try? value.decode([Numbers].self) {
      values = array.flatMap(\.values)
    } else {
      let object = try value.decode([String: Numbers].self)
      values = object.sorted { $0.key < $1.key }.flatMap(\.value.values)
    }
  }
}

extension StepFile.Parameters {
  /// bias, then weights row by row, then γ and β
  package var numbers: [Double] {
    (bias ?? []) + (weights ?? []).flatMap { $0 } + (gamma ?? []) + (beta ?? [])
  }

  /// The running statistics; a golden's layerNorm has them too, though it does not use them.
  package var statistics: [Double] { (mean ?? []) + (variance ?? []) }
}

extension StepFile: CustomStringConvertible {
  /// The name of the case, as a test's output shows it.
  package var description: String { name ?? "unnamed" }
}

extension Tutorial: CustomStringConvertible {
  package var description: String { stepFile.description }
}
