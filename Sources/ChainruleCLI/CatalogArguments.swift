import ArgumentParser
import Chainrule

// The names of the catalogue as values of options: an unknown one is wrong usage, and the error lists them.

extension Activation: ExpressibleByArgument {}
extension Loss: ExpressibleByArgument {}
extension ScalarType: ExpressibleByArgument {}
extension CSVOptions.LearningTask: ExpressibleByArgument {}

/// The name of an optimizer.
struct OptimizerName: ExpressibleByArgument {
  let name: String

  init?(argument: String) {
    guard Optimizer.names.contains(argument) else { return nil }
    name = argument
  }

  static var allValueStrings: [String] { Optimizer.names }
}

/// The name of a schedule.
struct ScheduleName: ExpressibleByArgument {
  let name: String

  init?(argument: String) {
    guard Schedule.names.contains(argument) else { return nil }
    name = argument
  }

  static var allValueStrings: [String] { Schedule.names }
}

/// The widths of the hidden layers, first to last: "64,32", or "none".
struct HiddenLayers: Sendable {
  let widths: [Int]

  init(_ widths: Int...) { self.widths = widths }

  init(parsing text: String) throws {
    widths =
      try text == "none"
      ? []
      : text.split(separator: ",", omittingEmptySubsequences: false).map { part in
        guard let width = Int(part), width >= 1 else {
          throw ValidationError("expected widths of at least 1 separated by commas, such as 64,32, or none")
        }
        return width
      }
  }
}

/// The activations of layers, first to last: "relu,relu,softmax".
struct ActivationList: Sendable {
  let list: [Activation]

  init(parsing text: String) throws {
    list = try text.split(separator: ",", omittingEmptySubsequences: false).map { name in
      guard let activation = Activation(rawValue: String(name)) else {
        let known = Activation.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("no activation is named \"\(name)\"; there are: \(known)")
      }
      return activation
    }
  }
}

extension TrainingRecipe.Normalization: ExpressibleByArgument {}

/// What is taken for the options that are not given.
enum Preset: String, CaseIterable, ExpressibleByArgument {
  /// What was best on ten real tables.
  case recommended
  /// One hidden layer on the numbers as they stand, for 50 epochs.
  case plain
}
