// Title: The days in the graph, and their incidents
// Purpose: What an answer can be based on: other days are not in the graph, and a day without incidents may not have been scored.
// Parameters: none
// Columns:
//   day: the day
//   incidents: how many incidents it has
//   top_score: the score of the strangest, nats
//   trained_until: the last day that the model was trained on
// Example: ueba ask loaded-days
MATCH (d:LoadedDay)
OPTIONAL MATCH (i:Incident) WHERE i.day = d.day
OPTIONAL MATCH (i)-[:SCORED_BY]->(m:ModelRun)
RETURN d.day AS day, count(DISTINCT i) AS incidents, max(i.score) AS top_score, max(m.trained_until) AS trained_until
ORDER BY day DESC
