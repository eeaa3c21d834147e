"""Dashboard Labelling: the annotation queue, the answers and the agreement of annotators."""

from __future__ import annotations

from boards.panels import bars, dashboard, prom, series, sql, stat, steps, table

DASHBOARD = dashboard(
    "activity-labelling",
    "Labelling",
    "The annotation queue, the answers and the agreement of annotators. No annotator is named.",
    [
        stat(
            "Waiting",
            "Windows in the annotation queue.",
            prom("sum(activity_queue_items) or vector(0)"),
            unit="short",
        ),
        stat(
            "Oldest",
            "Age of the oldest item in the queue. Items expire after queue.expire_hours.",
            prom("max(activity_queue_oldest_seconds)"),
            unit="s",
            thresholds=steps((86400, "orange"), (48 * 3600, "red")),
        ),
        stat(
            "Labels, last hour",
            "Labels of the last hour, without skips, unsure answers and flags.",
            prom("sum(activity_labels_last_hour)"),
            unit="short",
        ),
        stat(
            "Annotators, last hour",
            "Annotators with an answer in the last hour.",
            prom("sum(activity_annotators_last_hour)"),
            unit="short",
        ),
        stat(
            "Leased now",
            "Items that are leased to an annotator now.",
            prom("sum(activity_leases)"),
            unit="short",
        ),
        stat(
            "Kappa",
            "Mean of Cohen's kappa over the pairs of annotators, weighted by their common windows: 1 is "
            "full agreement, 0 is chance.",
            prom("max(activity_annotator_kappa)"),
            unit="none",
            thresholds=steps((0.4, "orange"), (0.6, "green"), base="red"),
            none="no pair yet",
        ),
        series(
            "Queue by stratum",
            "audit: random sample that evaluates models; cold: spread over people and activities while labels are "
            "few; doubt: chosen by uncertainty.",
            prom("sum by (stratum) (activity_queue_items)", "{{stratum}}"),
            unit="short",
            stack="normal",
        ),
        bars(
            "Queue by age",
            "Windows in the queue now by age.",
            sql(
                """
                SELECT CASE WHEN hours < 1 THEN 'under 1 h' WHEN hours < 6 THEN '1 to 6 h'
                            WHEN hours < 24 THEN '6 to 24 h' WHEN hours < 48 THEN '1 to 2 days'
                            ELSE 'over 2 days' END AS age,
                       count(*) FILTER (WHERE stratum = 'audit') AS audit,
                       count(*) FILTER (WHERE stratum = 'cold') AS cold,
                       count(*) FILTER (WHERE stratum = 'doubt') AS doubt
                FROM (
                    SELECT stratum, extract(epoch FROM now() - queued_at) / 3600 AS hours
                    FROM queue_items WHERE closed_at IS NULL AND expires_at > now()
                ) AS waiting
                GROUP BY 1 ORDER BY min(hours)
                """,
                table=True,
            ),
            unit="short",
            x="age",
            stacked=True,
            none="the queue is empty",
        ),
        series(
            "Queued and closed",
            "Items queued and closed in each hour; closed by reason: answered, expired or withdrawn.",
            sql("""
                SELECT $__timeGroupAlias(queued_at, '1h'), 'queued' AS metric, count(*) AS items
                FROM queue_items WHERE $__timeFilter(queued_at)
                GROUP BY 1
                UNION ALL
                SELECT $__timeGroupAlias(closed_at, '1h'), closed_because, count(*)
                FROM queue_items WHERE $__timeFilter(closed_at)
                GROUP BY 1, 2
                ORDER BY 1, 2
            """),
            unit="short",
            bars=True,
        ),
        series(
            "Labels an hour",
            "Labels of each hour by stratum; none: the window was not queued.",
            sql("""
                SELECT $__timeGroupAlias(a.created_at, '1h'), coalesce(q.stratum, 'none') AS metric,
                       count(*) AS labels
                FROM annotations a LEFT JOIN queue_items q USING (item_id)
                WHERE $__timeFilter(a.created_at) AND a.answer = 'label'
                GROUP BY 1, 2 ORDER BY 1, 2
            """),
            unit="short",
            stack="normal",
            bars=True,
        ),
        series(
            "Answers by kind",
            "Answers of each hour. Many skips or unsure answers mean that windows or labels are unclear.",
            sql("""
                SELECT $__timeGroupAlias(created_at, '1h'), answer AS metric, count(*) AS answers
                FROM annotations
                WHERE $__timeFilter(created_at)
                GROUP BY 1, 2 ORDER BY 1, 2
            """),
            unit="short",
            stack="normal",
            bars=True,
        ),
        series(
            "Seconds an answer",
            "Time from showing an item to its answer, median of each hour.",
            sql("""
                SELECT $__timeGroupAlias(created_at, '1h'),
                       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median
                FROM annotations
                WHERE $__timeFilter(created_at) AND seconds IS NOT NULL
                GROUP BY 1 ORDER BY 1
            """),
            unit="s",
        ),
        series(
            "Agreement of annotators",
            "Windows labelled by two annotators: share with the same label, and Cohen's kappa, which corrects for "
            "chance. Empty without such a window.",
            prom("max(activity_annotator_agreement)", "agree"),
            prom("max(activity_annotator_kappa)", "kappa"),
            unit="none",
            most=1,
        ),
        bars(
            "Gold labels",
            "All labels in force by use: labels of the audit share evaluate models, the others train them. disputed: "
            "annotators disagree and no reviewer has decided.",
            sql(
                """
                SELECT coalesce(g.label, 'disputed') AS label,
                       count(*) FILTER (WHERE q.stratum = 'audit') AS evaluate,
                       count(*) FILTER (WHERE q.stratum IS DISTINCT FROM 'audit') AS train
                FROM gold_labels g LEFT JOIN queue_items q USING (device_id, window_start)
                GROUP BY 1 ORDER BY count(*) DESC
                """,
                table=True,
            ),
            unit="short",
            x="label",
            stacked=True,
            none="no label yet",
        ),
        table(
            "Labels and the model",
            "How often the labels of the time shown agree with the model. Only the audit share is a random sample, and "
            "estimates its accuracy without bias.",
            sql(
                """
                SELECT q.stratum, count(*) AS labels, avg((a.label = a.suggested)::int)::float8 AS "as the model"
                FROM annotations a JOIN queue_items q USING (item_id)
                WHERE $__timeFilter(a.created_at) AND a.answer = 'label' AND a.suggested IS NOT NULL
                GROUP BY q.stratum ORDER BY q.stratum
                """,
                table=True,
            ),
            units={"as the model": "percentunit"},
        ),
        table(
            "Windows labelled by several",
            "Windows labelled by two or more annotators: agreed, decided by a reviewer, or disputed.",
            sql(
                """
                SELECT CASE WHEN adjudicated THEN 'decided' WHEN disputed THEN 'disputed' ELSE 'agreed' END
                           AS outcome,
                       count(*) AS windows
                FROM gold_labels WHERE annotators > 1 OR adjudicated
                GROUP BY 1 ORDER BY windows DESC
                """,
                table=True,
            ),
            none="none yet",
        ),
    ],
    since="now-24h",
)  # fmt: skip
