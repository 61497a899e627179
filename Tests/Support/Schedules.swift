internal import Foundation

/// What PyTorch's lr_scheduler says: Tests/Fixtures/schedules/schedules.json, written by generate.py beside
/// it.
package struct ScheduleCase: Decodable, Sendable, CustomStringConvertible {
  /// A schedule as JSON has it; what is left out has its default.
  package struct Schedule: Codable, Sendable {
    package var type: String
    package var warmUp: Int?
    package var warmUpFactor: Double?
    package var length: Int?
    package var growth: Int?
    package var factor: Double?
    package var minimum: Double?
    package var rise: Double?
    package var divisor: Double?
    package var finalDivisor: Double?
    package var patience: Int?
    package var cooldown: Int?
    package var threshold: Double?
    package var absolute: Bool?
  }

  package var name: String
  /// The optimizer's η.
  package var learningRate: Double
  package var schedule: Schedule
  /// The rate of epoch t.
  package var rates: [Double]
  /// The loss that a plateau is told after epoch t.
  package var losses: [Double]?

  package var description: String { name }

  /// Every case.
  package static func all() throws -> [ScheduleCase] {
    struct File: Decodable { var cases: [ScheduleCase] }
    let json = try Data(contentsOf: fixtures.appending(path: "schedules/schedules.json"))
    return try JSONDecoder().decode(File.self, from: json).cases
  }
}
